//! Mutations of JSON documents.

use serde_json::{Map, Number, Value};

use super::Mutator;

impl Mutator {
    /// Changes one place of a document.
    pub(super) fn value(&mut self, root: &mut Value) {
        let count = size(root);
        let (mut at, mut from) = (self.below(count), self.below(count));
        let other = nth(root, &mut from).map(|found| found.clone());
        let Some(place) = nth(root, &mut at) else { return };
        match self.below(12) {
            0 => *place = self.scalar(),
            // A part of the document in the place of another one.
            1 => *place = other.unwrap_or_default(),
            2 => *place = Value::Array(vec![place.take()]),
            3 if self.random.chance(5) => {
                for _ in 0..self.below(200) {
                    *place = Value::Array(vec![place.take()]);
                }
            }
            _ => self.inside(place, other),
        }
    }

    fn inside(&mut self, place: &mut Value, other: Option<Value>) {
        match place {
            Value::Object(map) => self.object(map, other),
            Value::Array(items) => self.array(items, other),
            Value::String(text) => self.text(text),
            Value::Number(number) => *number = self.number(Some(number)),
            Value::Bool(flag) => *flag = !*flag,
            Value::Null => *place = self.scalar(),
        }
    }

    fn object(&mut self, map: &mut Map<String, Value>, other: Option<Value>) {
        let chosen = self.below(map.len());
        let key = map.keys().nth(chosen).cloned();
        match (self.below(5), key) {
            (0 | 1, Some(key)) => drop(map.remove(&key)),
            (2, Some(key)) => {
                let value = map.remove(&key).unwrap_or_default();
                let mut renamed = key;
                self.text(&mut renamed);
                map.insert(renamed, value);
            }
            (3, Some(key)) => {
                let value = map[&key].clone();
                map.insert(self.word().to_owned(), value);
            }
            _ => drop(map.insert(self.word().to_owned(), other.unwrap_or_default())),
        }
    }

    fn array(&mut self, items: &mut Vec<Value>, other: Option<Value>) {
        let (at, to) = (self.below(items.len()), self.below(items.len()));
        match self.below(5) {
            0 if !items.is_empty() => drop(items.remove(at)),
            1 if !items.is_empty() => items.insert(to, items[at].clone()),
            2 if !items.is_empty() => items.swap(at, to),
            3 => items.push(self.scalar()),
            _ => items.insert(at, other.unwrap_or_default()),
        }
    }

    fn text(&mut self, text: &mut String) {
        let characters: Vec<char> = text.chars().collect();
        let at = self.below(characters.len() + 1);
        let (before, after) = characters.split_at(at);
        let (before, after): (String, String) = (before.iter().collect(), after.iter().collect());
        *text = match self.below(9) {
            0 | 1 => self.word().to_owned(),
            2 => before + self.word() + &after,
            3 => before,
            4 => after,
            5 => before + after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or(""),
            6 => text.repeat(1 + self.below(3)),
            7 if self.random.chance(10) => "x\u{1b}".repeat(4_000),
            _ => {
                let character = char::from_u32(u32::try_from(self.below(0x2100)).unwrap_or(0)).unwrap_or('x');
                format!("{before}{character}{after}")
            }
        };
    }

    fn scalar(&mut self) -> Value {
        match self.below(5) {
            0 => Value::Null,
            1 => Value::Bool(self.random.chance(50)),
            2 => Value::Number(self.number(None)),
            _ => self.word().into(),
        }
    }

    fn number(&mut self, near: Option<&Number>) -> Number {
        let near = near.and_then(Number::as_i64).unwrap_or(0);
        let some: [u64; 9] =
            [0, 1, 2, 255, 65_536, u64::from(u32::MAX), i64::MAX as u64, u64::MAX - 1, u64::MAX];
        match self.below(6) {
            0 => some[self.below(some.len())].into(),
            1 => near.wrapping_add(1).into(),
            2 => near.wrapping_sub(1).into(),
            3 => (i64::MIN >> self.below(64)).into(),
            4 => Number::from_f64(f64::from_bits(self.random.next_u64())).unwrap_or_else(|| 0.into()),
            _ => Number::from_f64(near as f64 + 0.1 * self.below(100) as f64).unwrap_or_else(|| 0.into()),
        }
    }
}

/// How many places a document has.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(map) => map.values().map(size).sum(),
        _ => 0,
    }
}

/// The place with this number, counted down.
fn nth<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, at)),
        Value::Object(map) => map.values_mut().find_map(|item| nth(item, at)),
        _ => None,
    }
}
