//! Who was denied what, read off the sentence in which AWS says it.

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Denial<'a> {
    pub(super) principal: Option<&'a str>,
    pub(super) action: Option<&'a str>,
    pub(super) resource: Option<&'a str>,
    pub(super) explicit: bool,
}

impl<'a> Denial<'a> {
    /// `User: ARN is not authorized to perform: ACTION on resource: ARN because …`. What does not fit is left out.
    pub(super) fn read(message: &'a str) -> Self {
        let after = |mark: &str| {
            let rest = message.split_once(mark)?.1.trim_start();
            let word = rest.split(char::is_whitespace).next()?;
            let word = word.trim_matches(['"', '\'', ',', '.', ';', '(', ')']);
            (!word.is_empty() && word.chars().all(|c| c.is_ascii_graphic())).then_some(word)
        };
        let action = after("authorized to perform: ").or_else(|| after("authorized to perform "));
        Self {
            principal: after("User: ").filter(|who| who.starts_with("arn:")),
            action: action.filter(|action| is_action(action)),
            resource: after("on resource: ")
                .filter(|resource| resource.starts_with("arn:") || *resource == "*"),
            explicit: message.contains("explicit deny"),
        }
    }
}

fn is_action(text: &str) -> bool {
    text.split_once(':').is_some_and(|(service, name)| {
        let plain = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-*".contains(c))
        };
        plain(service) && plain(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_of_aws_is_read() {
        let who = "arn:aws:sts::123456789012:assumed-role/deploy/ada";
        let service = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
        let said = format!(
            "User: {who} is not authorized to perform: ecs:UpdateService on resource: {service} because no \
             identity-based policy allows the ecs:UpdateService action"
        );
        let found = Denial::read(&said);
        assert_eq!(found.principal, Some(who));
        assert_eq!(found.action, Some("ecs:UpdateService"));
        assert_eq!(found.resource, Some(service));
        assert!(!found.explicit);
        assert!(Denial::read(&format!("{said} with an explicit deny in a service control policy")).explicit);
    }

    #[test]
    fn other_sentences_are_left_alone() {
        for said in
            ["", "Access Denied", "User: you is not authorized to perform: that on resource: it", "User: "]
        {
            assert_eq!(Denial::read(said), Denial::default(), "{said:?}");
        }
    }
}
