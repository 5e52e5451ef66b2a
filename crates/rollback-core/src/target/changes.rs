use std::fmt;

use tokio::sync::watch;

/// Tells when what was looked at may have changed since the look.
///
/// A driver whose backend tells of changes by itself, by a watch or a stream of events, hands this out with each
/// [`Observation`](crate::Observation): core looks again as soon as something stirs. Without it, core looks again after a pause that grows.
/// It is a hint and nothing else: what changed is only known by the next look.
///
/// ```
/// use rollback_core::Token;
/// use rollback_core::target::{Changes, Observation, Reading};
/// use tokio::sync::watch;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (stirs, listens) = watch::channel(());
/// // Before the look: what happens while it is made counts as well.
/// let changes = Changes::from_now_on(&listens);
/// let observed = Observation::<()>::settled(Reading::Absent, Token::new("1")).telling(changes);
/// stirs.send_replace(());
/// observed.changes.wait().await;
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Changes(Option<watch::Receiver<()>>);

impl Changes {
    /// What comes over a channel from now on.
    #[must_use]
    pub fn from_now_on(channel: &watch::Receiver<()>) -> Self {
        let mut channel = channel.clone();
        channel.mark_unchanged();
        Self(Some(channel))
    }

    /// Comes back once something may have changed; never, where nobody tells or whoever told is gone.
    pub async fn wait(&self) {
        if let Some(mut channel) = self.0.clone()
            && channel.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "told" } else { "not told" })
    }
}

/// It is no part of what was seen.
impl PartialEq for Changes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
