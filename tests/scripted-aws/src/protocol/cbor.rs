//! The little CBOR (RFC 8949) that CloudWatch's SDK speaks. Byte strings are no part of what is asked here.

use serde_json::{Map, Number, Value};

/// An object with this one field is a time: seconds since 1970 under tag 1.
pub(super) const INSTANT: &str = "$instant";

const DEEPEST: u32 = 32;

pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, value);
    out
}

fn head(out: &mut Vec<u8>, major: u8, count: u64) {
    let major = major << 5;
    match count {
        0..=23 => out.push(major | count as u8),
        24..=0xff => out.extend([major | 24, count as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend((count as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend((count as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend(count.to_be_bytes());
        }
    }
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(yes) => out.push(if *yes { 0xf5 } else { 0xf4 }),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => {
            head(out, 3, text.len() as u64);
            out.extend(text.as_bytes());
        }
        Value::Array(items) => {
            head(out, 4, items.len() as u64);
            items.iter().for_each(|item| write(out, item));
        }
        Value::Object(fields) => {
            if let (1, Some(Value::Number(at))) = (fields.len(), fields.get(INSTANT)) {
                head(out, 6, 1);
                write_number(out, at);
                return;
            }
            // Fields that are null are left out, as AWS does.
            let there: Vec<_> = fields.iter().filter(|(_, value)| !value.is_null()).collect();
            head(out, 5, there.len() as u64);
            for (name, value) in there {
                head(out, 3, name.len() as u64);
                out.extend(name.as_bytes());
                write(out, value);
            }
        }
    }
}

fn write_number(out: &mut Vec<u8>, number: &Number) {
    if let Some(number) = number.as_u64() {
        head(out, 0, number);
    } else if let Some(number) = number.as_i64() {
        head(out, 1, number.unsigned_abs() - 1);
    } else {
        out.push(0xfb);
        out.extend(number.as_f64().unwrap_or_default().to_be_bytes());
    }
}

pub(super) fn decode(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(DEEPEST)?;
    (reader.at == bytes.len()).then_some(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self, count: usize) -> Option<u64> {
        Some(self.take(count)?.iter().fold(0, |all, byte| (all << 8) | u64::from(*byte)))
    }

    /// The major type, the short count, and the count; none for an indefinite length.
    fn head(&mut self) -> Option<(u8, u8, Option<u64>)> {
        let first = self.take(1)?[0];
        let (major, short) = (first >> 5, first & 31);
        let count = match short {
            0..=23 => Some(u64::from(short)),
            24 => Some(self.number(1)?),
            25 => Some(self.number(2)?),
            26 => Some(self.number(4)?),
            27 => Some(self.number(8)?),
            31 => None,
            _ => return None,
        };
        Some((major, short, count))
    }

    fn ends(&mut self, done: u64, count: Option<u64>) -> bool {
        match count {
            Some(count) => done >= count,
            None if self.bytes.get(self.at) == Some(&0xff) => {
                self.at += 1;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, deepest: u32) -> Option<Value> {
        let deeper = deepest.checked_sub(1)?;
        let (major, short, count) = self.head()?;
        Some(match major {
            0 => Value::from(count?),
            1 => Value::from(-1 - i64::try_from(count?).ok()?),
            3 => Value::from(self.text(count)?),
            4 => {
                let mut items = Vec::new();
                while !self.ends(items.len() as u64, count) {
                    items.push(self.value(deeper)?);
                }
                Value::from(items)
            }
            5 => {
                let (mut fields, mut done) = (Map::new(), 0);
                while !self.ends(done, count) {
                    let name = self.value(deeper)?.as_str()?.to_owned();
                    let value = self.value(deeper)?;
                    fields.insert(name, value);
                    done += 1;
                }
                Value::Object(fields)
            }
            6 => self.value(deeper)?,
            7 => match short {
                20 => Value::Bool(false),
                21 => Value::Bool(true),
                26 => Value::from(f64::from(f32::from_bits(u32::try_from(count?).ok()?))),
                27 => Value::from(f64::from_bits(count?)),
                _ => Value::Null,
            },
            _ => return None,
        })
    }

    fn text(&mut self, count: Option<u64>) -> Option<String> {
        if let Some(count) = count {
            return String::from_utf8(self.take(usize::try_from(count).ok()?)?.to_vec()).ok();
        }
        let mut all = String::new();
        while !self.ends(0, None) {
            let (3, _, Some(count)) = self.head()? else { return None };
            all.push_str(&self.text(Some(count))?);
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let value =
            json!({ "a": [1, -1, 300, 70_000, -70_000, 5_000_000_000_u64, 1.5, true, "text"], "b": {} });
        assert_eq!(decode(&encode(&value)), Some(value));
    }

    #[test]
    fn a_time_is_tagged() {
        assert_eq!(encode(&json!({ INSTANT: 1 })), [0xc1, 0x01]);
        assert_eq!(decode(&[0xc1, 0x01]), Some(json!(1)));
    }

    #[test]
    fn indefinite_lengths() {
        let bytes =
            [0xbf, 0x61, b'a', 0x9f, 0x01, 0xff, 0x61, b'b', 0x7f, 0x61, b'x', 0x61, b'y', 0xff, 0xff];
        assert_eq!(decode(&bytes), Some(json!({ "a": [1], "b": "xy" })));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(decode(&[0x61]), None);
        assert_eq!(decode(&[0x01, 0x01]), None);
        assert_eq!(decode(&[0x9f; 100]), None);
    }
}
