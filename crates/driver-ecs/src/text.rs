//! Small checks that several parsers share.

/// A name as ECS takes it for families and containers: letters, digits, `-` and `_`, up to 255.
pub(crate) fn is_ecs_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
