//! What a server says, made fit to be shown and kept.

/// How long a message of AWS may be here. Theirs that explain something are shorter.
const LONGEST: usize = 800;
/// So long a word without a break is an encoded blob or a token, not a name: names have 64 digits at most.
const LONGEST_WORD: usize = 100;

/// One line, without access keys and without what looks like a token.
pub(super) fn scrubbed(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().take(16 * LONGEST).chain([' ']) {
        if c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '_' | '-' | '%') {
            word.push(c);
            continue;
        }
        out.push_str(if is_secret(&word) { "…" } else { &word });
        word.clear();
        let c = if c.is_control() { ' ' } else { c };
        if !(c == ' ' && out.ends_with(' ')) {
            out.push(c);
        }
        if out.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|end| out.is_char_boundary(*end)).unwrap_or(0);
            out.truncate(end);
            out.push('…');
            break;
        }
    }
    out.trim().to_owned()
}

fn is_secret(word: &str) -> bool {
    let key = |id: &str| id.len() >= 16 && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let mut parts = word.split(['/', '=', '%', '+', '_', '-']);
    word.len() > LONGEST_WORD
        || parts.any(|part| (part.starts_with("AKIA") || part.starts_with("ASIA")) && key(part))
}

/// The id of a request, if it has the form of one.
pub(super) fn request_id(text: &str) -> Option<String> {
    let right = (1..=128).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=' | '/' | '+'));
    right.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_and_secrets_go() {
        let said = "User: arn:aws:sts::123456789012:assumed-role/deploy/ada is not authorized to perform: ecs:UpdateService";
        assert_eq!(scrubbed(said), said);
        let digest = format!("image sha256:{} is gone", "ab".repeat(32));
        assert_eq!(scrubbed(&digest), digest);
        assert_eq!(scrubbed("key ASIAIOSFODNN7EXAMPLE, AKIAIOSFODNN7EXAMPLE/2026"), "key …, …");
        assert_eq!(scrubbed(&format!("token:{}!", "Fw0G/+Zx".repeat(40))), "token:…!");
        assert_eq!(scrubbed("a\r\n\u{1b}[31mb\0"), "a [31mb");
        assert_eq!(scrubbed(""), "");
    }

    #[test]
    fn long_and_wide_texts_are_cut() {
        assert!(scrubbed(&"é ".repeat(10_000)).len() <= LONGEST + "…".len());
        assert!(scrubbed(&"x".repeat(1_000_000)).len() <= LONGEST + "…".len());
    }

    #[test]
    fn a_request_id_is_a_plain_word() {
        assert_eq!(request_id("5ed90669-e454-464d"), Some("5ed90669-e454-464d".to_owned()));
        assert_eq!(request_id("a b"), None);
        assert_eq!(request_id(""), None);
    }
}
