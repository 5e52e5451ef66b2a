use serde_json::Value;

/// A stored document in which the text, number or flag at one place was overwritten: for tests of what a driver does with a document
/// that was edited or damaged. It should refuse it or read something sound, and never panic.
///
/// Places are counted from 0, depth first. Behind the last one nothing is altered.
///
/// ```
/// use rollback_testkit::driver::altered;
/// let document = serde_json::json!({ "images": ["web:1", "log:2"], "name": "web" });
/// let hostile = altered(document.clone(), 1, "../x");
/// assert_eq!(hostile, serde_json::json!({ "images": ["web:1", "../x"], "name": "web" }));
/// assert_eq!(altered(document.clone(), 3, "../x"), document);
/// ```
#[must_use]
pub fn altered(mut document: Value, place: usize, with: &str) -> Value {
    overwrite(&mut document, place, with);
    document
}

/// How many places are left to pass, or nothing once the place was found.
fn overwrite(value: &mut Value, place: usize, with: &str) -> Option<usize> {
    match value {
        Value::Array(items) => items.iter_mut().try_fold(place, |left, item| overwrite(item, left, with)),
        Value::Object(map) => map.values_mut().try_fold(place, |left, item| overwrite(item, left, with)),
        leaf if place == 0 => {
            *leaf = Value::from(with);
            None
        }
        _ => Some(place - 1),
    }
}
