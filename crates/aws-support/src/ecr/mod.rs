//! ECR: which images a repository has, what becomes of them, and the login for pulling them. Needs the feature `ecr`.
//!
//! Each registry is asked in its own region. Images are asked for with `DescribeImages`, which changes nothing. A repository of
//! another account often allows pulling alone: then `BatchGetImage` tells at least whether an image is there. ECR counts that
//! as a pull.
//!
//! | what | IAM actions |
//! |---|---|
//! | [`Ecr::image`] | `ecr:DescribeImages`, else `ecr:BatchGetImage` |
//! | [`Ecr::images`] | `ecr:DescribeImages` |
//! | [`Ecr::policy`] | `ecr:GetLifecyclePolicy` |
//! | [`Ecr::index_holds`] | `ecr:BatchGetImage` |
//! | [`Ecr::upstream`] | `ecr:DescribePullThroughCacheRules` |
//! | [`Ecr::login`] | `ecr:GetAuthorizationToken`, on `*` |

mod images;
mod login;
mod repository;
mod stored;

use std::fmt;
use std::sync::Arc;

use rollback_core::{Reading, Result};

use crate::asking::{Asker, TOGETHER, gathered};
use crate::coalesce::{Batcher, Batchers};
use crate::config::Session;
use crate::image::EcrRegistry;
use crate::pacing::{Pacer, Quota};

pub use self::login::Login;
use self::login::Logins;
pub use self::stored::{ImageId, Repository, Storage, StoredImage, newest_first};

/// So many images go into one call.
const IMAGES: usize = 100;
/// AWS documents 2,000 calls a second for pulls and 200 for logins, and nothing for the rest: guesses, which throttle answers
/// correct.
const READ: Quota = Quota::new("ecr", "DescribeImages", 100, 50.0);

/// Asks ECR. Cheap to clone: clones gather their look-ups into common calls and share their logins, so targets of one process
/// should share one, as by [`Session::clients`].
///
/// ```
/// use rollback_aws_support::ecr::{Ecr, ImageId, Repository};
/// use rollback_aws_support::{ImageRef, Pacer, Registry, Session};
/// use rollback_core::Reading;
///
/// # async fn example(session: Session) -> rollback_core::Result<()> {
/// let ecr = session.clients(|session| Ecr::new(session.clone(), Pacer::shared()));
/// let web: ImageRef = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web:abc123d".parse()?;
/// if let Some(repository) = Repository::of(&web)
///     && let Reading::Known(image) = ecr.image(&repository, ImageId::Tag("abc123d".to_owned())).await
/// {
///     println!("{} was pushed at {:?}", image.digest, image.pushed_at);
///     let login = ecr.login(repository.registry()).await?;
///     // docker login --username AWS --password-stdin 123456789012.dkr.ecr.eu-west-1.amazonaws.com
///     let (user, address, stdin) = (login.user(), login.registry().to_string(), login.password().expose());
/// #   let _ = (user, address, stdin);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Ecr {
    inner: Arc<Inner>,
}

struct Inner {
    asker: Asker,
    images: Batchers<Repository, ImageId, Reading<StoredImage>>,
    policies: Batchers<Repository, (), Reading<String>>,
    listings: Batchers<Repository, (), Reading<Vec<StoredImage>>>,
    logins: Logins,
}

impl Ecr {
    /// Asks as this session, at this pace and by the pacer's clock. A registry in another region than the session's is asked there.
    #[must_use]
    pub fn new(session: Session, pacer: Pacer) -> Self {
        let clock = pacer.clock();
        let asker = Asker::new(session, pacer);
        let askers = (asker.clone(), asker.clone(), asker.clone());
        let clocks = (Arc::clone(&clock), Arc::clone(&clock), Arc::clone(&clock));
        let inner = Inner {
            images: Batchers::new(move |of: &Repository| {
                let (asker, of) = (askers.0.clone(), of.clone());
                Batcher::new(Arc::clone(&clocks.0), IMAGES, TOGETHER, move |ids| {
                    images::images(asker.clone(), of.clone(), ids)
                })
            }),
            policies: Batchers::new(move |of: &Repository| {
                let (asker, of) = (askers.1.clone(), of.clone());
                Batcher::single(Arc::clone(&clocks.1), TOGETHER, move || {
                    let (asker, of) = (asker.clone(), of.clone());
                    async move { Ok(repository::policy(&asker, &of).await) }
                })
            }),
            listings: Batchers::new(move |of: &Repository| {
                let (asker, of) = (askers.2.clone(), of.clone());
                Batcher::single(Arc::clone(&clocks.2), TOGETHER, move || {
                    let (asker, of) = (asker.clone(), of.clone());
                    async move { Ok(repository::listing(&asker, &of).await) }
                })
            }),
            logins: Logins::new(&asker, clock),
            asker,
        };
        Self { inner: Arc::new(inner) }
    }

    /// One image; `Absent` also where there is no such repository.
    pub async fn image(&self, of: &Repository, id: ImageId) -> Reading<StoredImage> {
        gathered(self.inner.images.of(of).get(id).await)
    }

    /// All images of a repository, the newest first; `Absent` if there is none of that name, `Unknown` if there are more than
    /// the 10,000 that are read.
    pub async fn images(&self, of: &Repository) -> Reading<Vec<StoredImage>> {
        gathered(self.inner.listings.of(of).get(()).await)
    }

    /// The text of a repository's lifecycle policy; `Absent` if it has none.
    pub async fn policy(&self, of: &Repository) -> Reading<String> {
        gathered(self.inner.policies.of(of).get(()).await)
    }

    /// Whether an index of images for several platforms holds one of this digest; `Absent` if there is no such index. Both are
    /// `sha256:…`.
    pub async fn index_holds(&self, of: &Repository, index: &str, digest: &str) -> Reading<bool> {
        repository::index_holds(&self.inner.asker, of, index, digest).await
    }

    /// Where a repository takes images from when they are pulled, like `registry-1.docker.io`; `Absent` if it does not.
    pub async fn upstream(&self, of: &Repository) -> Reading<String> {
        repository::upstream(&self.inner.asker, of).await
    }

    /// The login to a registry, for `docker login --password-stdin`.
    ///
    /// It is good for every registry in the region that the caller may pull from. It is remembered until a quarter of an hour
    /// before it expires, and never logged, not even by the SDK.
    ///
    /// # Errors
    ///
    /// As [`explain`](crate::explain) says; [`Unavailable`](rollback_core::ErrorKind::Unavailable) for an answer that holds no login.
    pub async fn login(&self, registry: &EcrRegistry) -> Result<Login> {
        self.inner.logins.of(registry).await
    }
}

impl fmt::Debug for Ecr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ecr").field("session", self.inner.asker.session()).finish_non_exhaustive()
    }
}
