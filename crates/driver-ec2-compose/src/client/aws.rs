//! What AWS is asked for: instances, images that ECR has, logins to it, and values that commands are fed.

use rollback_aws_support::ecr::{Ecr, ImageId, Login, Repository, StoredImage};
use rollback_aws_support::instances::{Instance, Instances, Wanted};
use rollback_aws_support::parameters::{ParameterRef, Parameters};
use rollback_aws_support::{AwsSettings, Pacer, Session, Sessions};
use rollback_core::{Digest, Error, ErrorKind, Reading, Result};
use rollback_ssh_support::Secret;

use crate::image::ImageRef;
use crate::instances::Place;

/// AWS as the settings mean it. Nobody is asked, and no credentials are looked for, before something is needed.
#[derive(Debug, Clone)]
pub(crate) struct Aws {
    settings: AwsSettings,
    ask_ecr: bool,
}

impl Aws {
    pub(crate) fn new(settings: AwsSettings, ask_ecr: bool) -> Self {
        Self { settings, ask_ecr }
    }

    /// The repository of ECR that an image is in, where ECR may be asked.
    fn repository(&self, image: &ImageRef) -> Option<Repository> {
        Repository::of(image).filter(|_| self.ask_ecr)
    }

    /// Registries are asked in their own regions: that of the session counts for nothing but a session.
    async fn ecr(&self, repository: &Repository) -> Result<std::sync::Arc<Ecr>> {
        let mut settings = self.settings.clone();
        settings.region.get_or_insert_with(|| repository.registry().region().to_owned());
        let session = Self { settings, ..self.clone() }.session().await?;
        Ok(session.clients(|session| Ecr::new(session.clone(), Pacer::shared())))
    }

    /// What a repository has, the newest first; nothing for one that is not in ECR.
    pub(crate) async fn images(&self, place: &ImageRef) -> Reading<Vec<StoredImage>> {
        let Some(repository) = self.repository(place) else { return Reading::Absent };
        match self.ecr(&repository).await {
            Ok(ecr) => ecr.images(&repository).await,
            Err(error) => Reading::Unknown(error.to_string()),
        }
    }

    /// Whether ECR has an image; nothing for one that is not in ECR.
    pub(crate) async fn has(&self, place: &ImageRef, digest: Digest) -> Option<Reading<()>> {
        let repository = self.repository(place)?;
        let ecr = match self.ecr(&repository).await {
            Ok(ecr) => ecr,
            Err(error) => return Some(Reading::Unknown(error.to_string())),
        };
        Some(match ecr.image(&repository, ImageId::Digest(digest.to_string())).await {
            Reading::Known(_) => Reading::Known(()),
            Reading::Absent => Reading::Absent,
            Reading::Unknown(why) => Reading::Unknown(why),
        })
    }

    /// The login to an image's registry, if that is ECR.
    pub(crate) async fn login(&self, image: &ImageRef) -> Option<Result<Login>> {
        let repository = self.repository(image)?;
        Some(match self.ecr(&repository).await {
            Ok(ecr) => ecr.login(repository.registry()).await,
            Err(error) => Err(error),
        })
    }

    /// The instances that are wanted, in whatever state.
    pub(crate) async fn instances(&self, wanted: &Wanted) -> Result<Vec<Instance>> {
        let session = self.session().await?;
        let instances = session.clients(|session| Instances::new(session.clone(), Pacer::shared()));
        instances.find(wanted).await
    }

    /// Where that is; with the account, which AWS is asked for, where that is to be told.
    pub(crate) async fn place(&self, with_account: bool) -> Result<Place> {
        let session = self.session().await?;
        // It needs no permission. Where it fails all the same, the region says enough.
        let caller = if with_account { session.caller().await.ok() } else { None };
        Ok(Place {
            region: session.region().to_owned(),
            profile: self.settings.profile.clone(),
            account: caller.map(|caller| caller.account().to_owned()),
        })
    }

    async fn session(&self) -> Result<Session> {
        Sessions::shared().open(&self.settings).await.map_err(|error| match error.kind() {
            ErrorKind::Invalid => error,
            kind => Error::new(kind, "set up AWS", error.to_string()),
        })
    }

    /// These values, a line for each. A line's end in a value would make two of one.
    pub(crate) async fn lines(&self, all: &[ParameterRef]) -> Result<Option<Secret>> {
        if all.is_empty() {
            return Ok(None);
        }
        let session = self.session().await?;
        let parameters = session.clients(|session| Parameters::new(session.clone(), Pacer::shared()));
        let mut lines = Vec::new();
        for one in all {
            let value = parameters.value(one).await?;
            let text = value.expose().trim_end_matches(['\n', '\r']);
            if text.contains('\n') {
                let message = format!("the value of {one} has several lines");
                return Err(Error::new(ErrorKind::Invalid, "feed a command", message)
                    .next("keep it in one line, or have the command read it by itself"));
            }
            lines.extend_from_slice(text.as_bytes());
            lines.push(b'\n');
        }
        Ok(Some(Secret::new(lines)))
    }
}
