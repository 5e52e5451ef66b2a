//! The registry: repositories of this and of other accounts, with images, lifecycle policies and rules for fetching from elsewhere.
//!
//! Tags are those of [`World::images`](crate::World): what ECS resolves and what the registry says are the same. An image that was
//! only tagged there counts as pushed when the world began.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::login;
use crate::protocol::{Fault, epoch, integer, list, required, text};
use crate::world::World;

const INVALID: &str = "InvalidParameterException";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// ECR takes so many images in a call.
const MOST: usize = 100;

/// By account and name.
#[derive(Debug, Default)]
pub(crate) struct State {
    repositories: BTreeMap<(String, String), Repository>,
    rules: Vec<Value>,
}

#[derive(Debug, Default)]
struct Repository {
    region: String,
    policy: Option<String>,
    images: BTreeMap<String, Image>,
}

#[derive(Debug, Clone)]
struct Image {
    manifest: String,
    media: String,
    pushed_at: Timestamp,
    pulled_at: Option<Timestamp>,
    status: &'static str,
}

pub(crate) fn handle(world: &mut World, op: &str, input: &Value) -> Result<Value, Fault> {
    learn(world);
    match op {
        "CreateRepository" => create(world, input),
        "PutImage" => put(world, input),
        "BatchDeleteImage" => delete(world, input),
        "DescribeImages" => describe(world, input),
        "BatchGetImage" => get(world, input),
        "PutLifecyclePolicy" => put_policy(world, input),
        "GetLifecyclePolicy" => get_policy(world, input),
        "UpdateImageStorageClass" => update_storage(world, input),
        "CreatePullThroughCacheRule" => {
            world.ecr.rules.push(input.clone());
            Ok(input.clone())
        }
        "GetAuthorizationToken" => Ok(login::token(world)),
        "DescribePullThroughCacheRules" => Ok(json!({ "pullThroughCacheRules": world.ecr.rules })),
        _ => Err(Fault::unknown_operation(op)),
    }
}

/// Whose registry is meant, and which repository.
fn key(world: &World, input: &Value) -> Result<(String, String), Fault> {
    let account = text(input, "registryId").unwrap_or(&world.account).to_owned();
    Ok((account, required(input, "repositoryName", INVALID)?.to_owned()))
}

fn repository<'a>(world: &'a World, key: &(String, String)) -> Result<&'a Repository, Fault> {
    world.ecr.repositories.get(key).ok_or_else(|| no_repository(key))
}

fn no_repository((account, name): &(String, String)) -> Fault {
    let message =
        format!("The repository with name '{name}' does not exist in the registry with id '{account}'");
    Fault::new("RepositoryNotFoundException", message)
}

/// `account`, `region`, `repository` and `tag` of an image in ECR.
fn apart(image: &str) -> Option<(&str, &str, &str, &str)> {
    let (host, path) = image.split_once('/')?;
    let (account, rest) = host.split_once(".dkr.ecr.")?;
    let (region, _) = rest.split_once('.')?;
    let (name, tag) = path.rsplit_once(':')?;
    Some((account, region, name, tag))
}

/// Takes over what was tagged beside the registry.
fn learn(world: &mut World) {
    let began = world.began();
    for (image, digest) in world.images.iter() {
        let Some((account, region, name, _)) = apart(image) else { continue };
        let key = (account.to_owned(), name.to_owned());
        let repository = world.ecr.repositories.entry(key).or_default();
        repository.region = region.to_owned();
        repository.images.entry(digest.to_owned()).or_insert_with(|| Image {
            manifest: format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE}"}}"#),
            media: IMAGE.to_owned(),
            pushed_at: began,
            pulled_at: None,
            status: "ACTIVE",
        });
    }
}

fn reference(region: &str, (account, name): &(String, String), tag: &str) -> String {
    format!("{account}.dkr.ecr.{region}.amazonaws.com/{name}:{tag}")
}

/// The tags of an image.
fn tags(world: &World, key: &(String, String), digest: &str) -> BTreeSet<String> {
    let ours = |image: &str| {
        let (account, _, name, tag) = apart(image)?;
        (account == key.0 && name == key.1).then(|| tag.to_owned())
    };
    world.images.iter().filter(|(_, names)| *names == digest).filter_map(|(image, _)| ours(image)).collect()
}

fn create(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let key = key(world, input)?;
    let region = text(input, "region").unwrap_or(&world.region).to_owned();
    let repository = Repository { region, ..Repository::default() };
    if world.ecr.repositories.contains_key(&key) {
        return Err(Fault::new("RepositoryAlreadyExistsException", "The repository already exists"));
    }
    world.ecr.repositories.insert(key.clone(), repository);
    Ok(json!({ "repository": { "registryId": key.0, "repositoryName": key.1 } }))
}

fn put(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let key = key(world, input)?;
    let manifest = required(input, "imageManifest", INVALID)?.to_owned();
    let own = || format!("sha256:{:x}", Sha256::digest(manifest.as_bytes()));
    let digest = text(input, "imageDigest").map_or_else(own, str::to_owned);
    let media = text(input, "imageManifestMediaType").unwrap_or(IMAGE).to_owned();
    let now = world.now;
    let repository = world.ecr.repositories.get_mut(&key).ok_or_else(|| no_repository(&key))?;
    let image = Image { manifest, media, pushed_at: now, pulled_at: None, status: "ACTIVE" };
    repository.images.entry(digest.clone()).or_insert(image);
    let region = repository.region.clone();
    if let Some(tag) = text(input, "imageTag") {
        world.images.tag(reference(&region, &key, tag), digest.clone());
    }
    Ok(
        json!({ "image": { "registryId": key.0, "repositoryName": key.1, "imageId": { "imageDigest": digest } } }),
    )
}

/// Which image an id names; a digest that a tag does not name is none.
fn find(world: &World, key: &(String, String), id: &Value) -> Option<String> {
    let repository = world.ecr.repositories.get(key)?;
    let by_tag = text(id, "imageTag")
        .map(|tag| repository.images.keys().find(|digest| tags(world, key, digest).contains(tag)).cloned());
    let by_digest = text(id, "imageDigest")
        .map(|digest| repository.images.contains_key(digest).then(|| digest.to_owned()));
    match (by_tag, by_digest) {
        (Some(tagged), Some(digest)) => tagged.filter(|_| tagged_as(&digest, world, key, id)),
        (Some(found), None) | (None, Some(found)) => found,
        (None, None) => None,
    }
}

fn tagged_as(digest: &Option<String>, world: &World, key: &(String, String), id: &Value) -> bool {
    let tag = text(id, "imageTag").unwrap_or_default();
    digest.as_deref().is_some_and(|digest| tags(world, key, digest).contains(tag))
}

/// Without a tag the image goes, with one only the tag.
fn delete(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let key = key(world, input)?;
    let region = repository(world, &key)?.region.clone();
    let mut failures = Vec::new();
    for id in list(input, "imageIds") {
        match (find(world, &key, id), text(id, "imageTag")) {
            (None, _) => failures.push(failure(id)),
            (Some(_), Some(tag)) => world.images.untag(&reference(&region, &key, tag)),
            (Some(digest), None) => {
                for tag in tags(world, &key, &digest) {
                    world.images.untag(&reference(&region, &key, &tag));
                }
                if let Some(repository) = world.ecr.repositories.get_mut(&key) {
                    repository.images.remove(&digest);
                }
            }
        }
    }
    Ok(json!({ "imageIds": list(input, "imageIds"), "failures": failures }))
}

fn failure(id: &Value) -> Value {
    json!({ "imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found" })
}

fn described(world: &World, key: &(String, String), digest: &str, image: &Image) -> Value {
    let mut described = json!({
        "registryId": key.0,
        "repositoryName": key.1,
        "imageDigest": digest,
        "imageSizeInBytes": 1_000_000,
        "imagePushedAt": epoch(image.pushed_at),
        "imageManifestMediaType": image.media,
        "imageStatus": image.status,
    });
    let tags = tags(world, key, digest);
    if !tags.is_empty() {
        described["imageTags"] = json!(tags);
    }
    if let Some(at) = image.pulled_at {
        described["lastRecordedPullTime"] = epoch(at);
    }
    described
}

/// One image that is not there, and none is told of.
fn describe(world: &World, input: &Value) -> Result<Value, Fault> {
    let key = key(world, input)?;
    let repository = repository(world, &key)?;
    let ids = list(input, "imageIds");
    if ids.len() > MOST {
        return Err(Fault::new(INVALID, "Invalid parameter at 'imageIds' failed to satisfy constraint"));
    }
    if ids.is_empty() {
        return page(world, input, &key, repository);
    }
    let mut found = BTreeSet::new();
    for id in ids {
        let Some(digest) = find(world, &key, id) else {
            let (digest, tag) = (text(id, "imageDigest"), text(id, "imageTag"));
            let message = format!(
                "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name '{}' in the registry with id '{}'",
                digest.unwrap_or("null"),
                tag.unwrap_or("null"),
                key.1,
                key.0
            );
            return Err(Fault::new("ImageNotFoundException", message));
        };
        found.insert(digest);
    }
    let details = found
        .iter()
        .filter_map(|digest| Some(described(world, &key, digest, repository.images.get(digest)?)));
    Ok(json!({ "imageDetails": details.collect::<Vec<_>>() }))
}

/// The order is nobody's promise: it is that of the digests.
fn page(
    world: &World,
    input: &Value,
    key: &(String, String),
    repository: &Repository,
) -> Result<Value, Fault> {
    let size = integer(input, "maxResults").unwrap_or(100);
    let size = usize::try_from(size)
        .ok()
        .filter(|size| (1..=1000).contains(size))
        .ok_or_else(|| Fault::new(INVALID, "Invalid parameter at 'maxResults'"))?;
    let start: usize = match text(input, "nextToken") {
        None => 0,
        Some(token) => token.parse().map_err(|_| Fault::new(INVALID, "Invalid parameter at 'nextToken'"))?,
    };
    let images = repository.images.iter().skip(start).take(size);
    let details: Vec<_> = images.map(|(digest, image)| described(world, key, digest, image)).collect();
    let mut answer = json!({ "imageDetails": details });
    if start + size < repository.images.len() {
        answer["nextToken"] = json!((start + size).to_string());
    }
    Ok(answer)
}

/// Tells what is not there beside what is. It counts as a pull.
fn get(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let key = key(world, input)?;
    repository(world, &key)?;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    let now = world.now;
    for id in list(input, "imageIds") {
        let found = find(world, &key, id);
        let repository = world.ecr.repositories.get_mut(&key);
        let image = found.as_ref().and_then(|digest| repository?.images.get_mut(digest));
        let (Some(digest), Some(image)) = (found.as_ref(), image) else {
            failures.push(failure(id));
            continue;
        };
        if image.status != "ACTIVE" {
            failures.push(json!({
                "imageId": id, "failureCode": "ImageInaccessible", "failureReason": "The image is archived",
            }));
            continue;
        }
        image.pulled_at = Some(now);
        let mut image_id = json!({ "imageDigest": digest });
        if let Some(tag) = text(id, "imageTag") {
            image_id["imageTag"] = json!(tag);
        }
        images.push(json!({
            "registryId": key.0, "repositoryName": key.1, "imageId": image_id,
            "imageManifest": image.manifest, "imageManifestMediaType": image.media,
        }));
    }
    Ok(json!({ "images": images, "failures": failures }))
}

fn put_policy(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let key = key(world, input)?;
    let policy = required(input, "lifecyclePolicyText", INVALID)?.to_owned();
    let repository = world.ecr.repositories.get_mut(&key).ok_or_else(|| no_repository(&key))?;
    repository.policy = Some(policy.clone());
    Ok(json!({ "registryId": key.0, "repositoryName": key.1, "lifecyclePolicyText": policy }))
}

fn get_policy(world: &World, input: &Value) -> Result<Value, Fault> {
    let key = key(world, input)?;
    let Some(policy) = &repository(world, &key)?.policy else {
        let message = format!(
            "Lifecycle policy does not exist for the repository with name '{}' in the registry with id '{}'",
            key.1, key.0
        );
        return Err(Fault::new("LifecyclePolicyNotFoundException", message));
    };
    Ok(json!({ "registryId": key.0, "repositoryName": key.1, "lifecyclePolicyText": policy }))
}

fn update_storage(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let key = key(world, input)?;
    let id = input.get("imageId").cloned().unwrap_or_default();
    let status = if text(input, "targetStorageClass") == Some("ARCHIVE") { "ARCHIVED" } else { "ACTIVE" };
    let digest = find(world, &key, &id);
    let repository = world.ecr.repositories.get_mut(&key).ok_or_else(|| no_repository(&key))?;
    let Some(image) = digest.as_ref().and_then(|digest| repository.images.get_mut(digest)) else {
        return Err(Fault::new("ImageNotFoundException", "The image does not exist"));
    };
    image.status = status;
    Ok(json!({ "registryId": key.0, "repositoryName": key.1, "imageId": id, "imageStatus": status }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

    #[expect(clippy::needless_pass_by_value, reason = "what is asked is written where it is asked")]
    fn asked(world: &mut World, op: &str, input: Value) -> Result<Value, String> {
        handle(world, op, &input).map_err(|fault| fault.code().to_owned())
    }

    #[test]
    fn what_is_tagged_for_ecs_is_in_the_registry() {
        let mut world = World::new("123456789012", "eu-west-1");
        world.images.tag(format!("{HOST}/shop/web:v1"), "sha256:aa");
        let ids = json!({ "repositoryName": "shop/web", "imageIds": [{ "imageTag": "v1" }] });
        let found = asked(&mut world, "DescribeImages", ids.clone()).unwrap();
        assert_eq!(found["imageDetails"][0]["imageDigest"], "sha256:aa");
        world.images.tag(format!("{HOST}/shop/web:v1"), "sha256:bb");
        let found = asked(&mut world, "DescribeImages", ids).unwrap();
        assert_eq!(found["imageDetails"][0]["imageDigest"], "sha256:bb");
        let old = json!({ "repositoryName": "shop/web", "imageIds": [{ "imageDigest": "sha256:aa" }] });
        let old = asked(&mut world, "DescribeImages", old).unwrap();
        assert!(old["imageDetails"][0].get("imageTags").is_none());
    }

    #[test]
    fn one_that_is_missing_spoils_describing_and_not_getting() {
        let mut world = World::new("123456789012", "eu-west-1");
        world.images.tag(format!("{HOST}/web:v1"), "sha256:aa");
        let ids =
            json!({ "repositoryName": "web", "imageIds": [{ "imageTag": "v1" }, { "imageTag": "v9" }] });
        assert_eq!(
            asked(&mut world, "DescribeImages", ids.clone()),
            Err("ImageNotFoundException".to_owned())
        );
        let got = asked(&mut world, "BatchGetImage", ids).unwrap();
        assert_eq!(got["images"][0]["imageId"], json!({ "imageDigest": "sha256:aa", "imageTag": "v1" }));
        assert_eq!(got["failures"][0]["failureCode"], "ImageNotFound");
        let other = json!({ "repositoryName": "api", "imageIds": [] });
        assert_eq!(asked(&mut world, "BatchGetImage", other), Err("RepositoryNotFoundException".to_owned()));
    }

    #[test]
    fn pages_hold_each_image_once() {
        let mut world = World::new("123456789012", "eu-west-1");
        for n in 0..5 {
            world.images.tag(format!("{HOST}/web:v{n}"), format!("sha256:{n}"));
        }
        let (mut token, mut seen) = (Value::Null, Vec::new());
        for _ in 0..3 {
            let input = json!({ "repositoryName": "web", "maxResults": 2, "nextToken": token });
            let page = asked(&mut world, "DescribeImages", input).unwrap();
            seen.extend(list(&page, "imageDetails").iter().map(|image| image["imageDigest"].to_string()));
            token = page.get("nextToken").cloned().unwrap_or_default();
        }
        assert!(token.is_null());
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 5);
    }
}
