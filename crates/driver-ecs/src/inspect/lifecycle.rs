//! When a lifecycle policy of ECR would take an image away.
//!
//! Rules are tried in the order of their priority, and the first whose tags fit decides: ECR takes no image by a later rule. ECR
//! acts within 24 hours of the moment found here, and keeps an image as long as an image index refers to it: what is
//! computed is the earliest moment.

use jiff::{SignedDuration, Timestamp};
use rollback_aws_support::ecr::{Storage, StoredImage};
use serde::Deserialize;

/// The longest policy that ECR takes is 30,720 characters.
const LONGEST: usize = 64 * 1024;
/// ECR takes at most 50 rules.
const MOST: usize = 100;
/// More than a thousand years: whoever writes more means never.
const LONGEST_DAYS: i64 = 365_000;

/// What becomes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No rule takes it.
    Stays,
    /// It is removed at this moment at the earliest.
    Removed(Timestamp),
    /// It is moved to the archive at this moment at the earliest.
    Archived(Timestamp),
    /// It goes as soon as so many newer images are pushed.
    After { pushes: usize, archived: bool },
    /// It cannot be told.
    Unknown(String),
}

/// A policy, as far as it is understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Policy {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    priority: i64,
    /// `None` is a selection that is not understood: it may fit any image.
    tags: Option<Tags>,
    counted: Counted,
    archives: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Tags {
    Any,
    Untagged,
    /// Each pattern fits one of the image's tags.
    Patterns(Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
enum Counted {
    Pushed(i64),
    Pulled(i64),
    MoreThan(usize),
    /// In the archive: it takes none that can be pulled.
    Elsewhere,
    NotUnderstood,
}

#[derive(Deserialize)]
struct WrittenPolicy {
    rules: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenRule {
    rule_priority: i64,
    selection: Selection,
    action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    tag_status: String,
    #[serde(default)]
    tag_pattern_list: Vec<String>,
    #[serde(default)]
    tag_prefix_list: Vec<String>,
    #[serde(default)]
    storage_class: Option<String>,
    count_type: String,
    #[serde(default)]
    count_unit: Option<String>,
    count_number: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    target_storage_class: Option<String>,
}

impl Policy {
    /// Reads the text of a policy. A rule that is not understood stays in it as such.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err("the lifecycle policy is longer than ECR takes".to_owned());
        }
        let written: WrittenPolicy = serde_json::from_str(text)
            .map_err(|_| "the lifecycle policy is not written as ECR documents it".to_owned())?;
        if written.rules.len() > MOST {
            return Err("the lifecycle policy has more rules than ECR takes".to_owned());
        }
        let mut rules: Vec<_> = written.rules.into_iter().map(Rule::read).collect();
        rules.sort_by_key(|rule| rule.priority);
        Ok(Self { rules })
    }

    /// Whether all images of the repository have to be known to say what becomes of this one.
    pub(crate) fn needs_listing(&self, image: &StoredImage) -> bool {
        self.deciding(image).is_some_and(|rule| matches!(rule.counted, Counted::MoreThan(_)))
    }

    /// What becomes of an image. `all` are the images of the repository with this one, if they are known.
    pub(crate) fn fate(
        &self,
        image: &StoredImage,
        all: Result<&[StoredImage], &str>,
        now: Option<Timestamp>,
    ) -> Fate {
        let Some(rule) = self.deciding(image) else { return Fate::Stays };
        let Some(pushed) = image.pushed_at else {
            return Fate::Unknown("when it was pushed is not known".to_owned());
        };
        let last_used = [image.pulled_at, image.activated_at].into_iter().flatten().max().unwrap_or(pushed);
        match rule.counted {
            Counted::Pushed(days) => rule.takes(after(pushed, days), now),
            Counted::Pulled(days) => rule.takes(after(last_used, days), now),
            Counted::MoreThan(kept) => match all {
                Ok(all) => rule.counts(image, pushed, all, kept, now),
                Err(why) => Fate::Unknown(format!("how many images are newer is not known: {why}")),
            },
            Counted::Elsewhere => Fate::Stays,
            Counted::NotUnderstood => {
                Fate::Unknown(format!("rule {} of the lifecycle policy is not understood", rule.priority))
            }
        }
    }

    fn deciding(&self, image: &StoredImage) -> Option<&Rule> {
        let fits = |rule: &&Rule| rule.counted != Counted::Elsewhere && rule.may_select(image);
        self.rules.iter().find(fits)
    }
}

impl Rule {
    fn read(written: serde_json::Value) -> Self {
        // Where even the priority cannot be read, it comes before all others: nothing is claimed then.
        let priority = written.get("rulePriority").and_then(serde_json::Value::as_i64).unwrap_or(i64::MIN);
        let unknown = Self { priority, tags: None, counted: Counted::NotUnderstood, archives: false };
        let Ok(rule) = serde_json::from_value::<WrittenRule>(written) else { return unknown };
        let archives = match (rule.action.kind.as_str(), rule.action.target_storage_class.as_deref()) {
            ("expire", _) => Some(false),
            ("transition", Some("archive")) => Some(true),
            _ => None,
        };
        let tags = rule.selection.tags();
        let counted = match rule.selection.counted() {
            Counted::Elsewhere => Counted::Elsewhere,
            counted if archives.is_some() && tags.is_some() => counted,
            _ => Counted::NotUnderstood,
        };
        Self { priority: rule.rule_priority, tags, counted, archives: archives.unwrap_or(false) }
    }

    fn may_select(&self, image: &StoredImage) -> bool {
        match &self.tags {
            None | Some(Tags::Any) => true,
            Some(Tags::Untagged) => image.tags.is_empty(),
            Some(Tags::Patterns(patterns)) => {
                patterns.iter().all(|pattern| image.tags.iter().any(|tag| fits(pattern, tag)))
            }
        }
    }

    fn takes(&self, at: Timestamp, now: Option<Timestamp>) -> Fate {
        // What is due already goes as soon as ECR gets to it.
        let at = now.map_or(at, |now| at.max(now));
        if self.archives { Fate::Archived(at) } else { Fate::Removed(at) }
    }

    fn counts(
        &self,
        image: &StoredImage,
        pushed: Timestamp,
        all: &[StoredImage],
        kept: usize,
        now: Option<Timestamp>,
    ) -> Fate {
        let newer = |other: &&StoredImage| {
            other.digest != image.digest
                && other.storage == Storage::Standard
                && self.may_select(other)
                && other.pushed_at.is_some_and(|at| at > pushed)
        };
        let newer = all.iter().filter(newer).count();
        match kept.checked_sub(newer) {
            Some(pushes @ 1..) => Fate::After { pushes, archived: self.archives },
            _ => self.takes(now.unwrap_or(pushed), now),
        }
    }
}

impl Selection {
    fn tags(&self) -> Option<Tags> {
        match (self.tag_status.as_str(), self.tag_pattern_list.len(), self.tag_prefix_list.len()) {
            ("any", 0, 0) => Some(Tags::Any),
            ("untagged", 0, 0) => Some(Tags::Untagged),
            ("tagged", 1.., 0) => Some(Tags::Patterns(self.tag_pattern_list.clone())),
            // A prefix with a star in it is no prefix that a tag could have.
            ("tagged", 0, 1..) if !self.tag_prefix_list.iter().any(|prefix| prefix.contains('*')) => {
                Some(Tags::Patterns(self.tag_prefix_list.iter().map(|prefix| format!("{prefix}*")).collect()))
            }
            _ => None,
        }
    }

    fn counted(&self) -> Counted {
        let days = i64::try_from(self.count_number)
            .ok()
            .filter(|days| self.count_unit.as_deref() == Some("days") && *days <= LONGEST_DAYS);
        match (self.storage_class.as_deref().unwrap_or("standard"), self.count_type.as_str(), days) {
            ("archive", ..) => Counted::Elsewhere,
            ("standard", "imageCountMoreThan", _) => {
                usize::try_from(self.count_number).map_or(Counted::NotUnderstood, Counted::MoreThan)
            }
            ("standard", "sinceImagePushed", Some(days)) => Counted::Pushed(days),
            ("standard", "sinceImagePulled", Some(days)) => Counted::Pulled(days),
            _ => Counted::NotUnderstood,
        }
    }
}

fn after(start: Timestamp, days: i64) -> Timestamp {
    start.checked_add(SignedDuration::from_hours(days.saturating_mul(24))).unwrap_or(Timestamp::MAX)
}

/// Whether a pattern in which `*` stands for any text fits a whole tag.
fn fits(pattern: &str, tag: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == tag };
    let Some(mut tag) = tag.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The earliest place leaves the most for what follows.
        let Some(at) = tag.find(part) else { return false };
        tag = &tag[at + part.len()..];
    }
    tag.ends_with(last)
}
