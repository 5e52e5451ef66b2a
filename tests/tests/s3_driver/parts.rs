//! Objects that are too large for one copy. Here that is what has more than 5 MiB: S3 takes no smaller parts.

use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, StorageClass, Tag};
use rollback_core::time::Lasting;
use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::proxy::{Answer, Fault, Faults, Rule};
use rollback_tests::{Ran, until};

use super::relay::with_first_part;
use super::shop::{Emulator, Made, Shop, files, told};
use super::versions::{between, keep_versions};

const MIB: usize = 1024 * 1024;
const PART: usize = 5 * MIB;
/// With whatever a tag may hold that a query would take for something else.
const TAGS: [(&str, &str); 2] = [("a+b=c", "1 + 1 = 2"), ("team", "web/shop @2_3.4")];
const RUN: &str = "run web --to version=v1 --yes --no-quarantine --reason bad";
const FILM: &str = "film #1+ü.mp4";
/// As paths have it.
const ENCODED: &str = "film%20%231%2B%C3%BC.mp4";

/// No part is like another one, and the last one is short.
fn film(release: u8) -> Vec<u8> {
    let bytes = 2 * PART + 12_345;
    (0..bytes).map(|at| (at / 4096 + at + usize::from(release)).to_le_bytes()[at % 3]).collect()
}

/// Uploads an object as pipelines do, in parts of so many bytes, with everything that goes with one.
async fn upload(shop: &Shop, key: &str, body: &[u8], each: usize) -> Made<()> {
    if each > body.len() {
        let put = shop.s3.put_object().bucket(&shop.bucket).key(key).body(body.to_vec().into());
        return put.send().await.map(drop).map_err(told);
    }
    let begun = shop.s3.create_multipart_upload().bucket(&shop.bucket).key(key);
    let begun = begun
        .content_type("video/mp4")
        .content_language("de")
        .content_disposition("inline")
        .cache_control("max-age=60")
        .metadata("build", "1 + 2")
        .website_redirect_location("/elsewhere")
        .storage_class(StorageClass::StandardIa)
        .customize()
        .mutate_request(|request| {
            drop(request.headers_mut().insert("expires", "Sun, 22 Nov 2026 03:00:00 GMT"));
        });
    let begun = begun.send().await.map_err(told)?;
    let id = begun.upload_id().unwrap_or_default();
    let mut parts = CompletedMultipartUpload::builder();
    for (number, bytes) in (1..).zip(body.chunks(each)) {
        let part = shop.s3.upload_part().bucket(&shop.bucket).key(key).upload_id(id).part_number(number);
        let sent = part.body(bytes.to_vec().into()).send().await.map_err(told)?;
        let part = CompletedPart::builder().part_number(number);
        parts = parts.parts(part.set_e_tag(sent.e_tag().map(str::to_owned)).build());
    }
    let whole = shop.s3.complete_multipart_upload().bucket(&shop.bucket).key(key).upload_id(id);
    let whole = whole.multipart_upload(parts.build()).send().await;
    // moto completes it, and answers with what no SDK for Rust reads.
    if matches!(shop.emulator, Emulator::Ministack) {
        whole.map_err(told)?;
    }
    // ministack keeps no tags that an upload begins with.
    let tags = TAGS.map(|(key, value)| Tag::builder().key(key).value(value).build());
    let tags = tags.into_iter().collect::<Result<Vec<_>, _>>().map_err(told)?;
    let tags = aws_sdk_s3::types::Tagging::builder().set_tag_set(Some(tags)).build().map_err(told)?;
    let put = shop.s3.put_object_tagging().bucket(&shop.bucket).key(key).tagging(tags);
    put.send().await.map(drop).map_err(told)
}

/// With a film in v1 that is not the one which is live.
async fn shop(emulator: Emulator, each: usize) -> Made<Shop> {
    let shop = Shop::empty(emulator, "live/")?.copying_in_parts(PART)?;
    upload(&shop, &format!("versions/v1/{FILM}"), &film(1), each).await?;
    for release in [1, 2] {
        shop.archive(release).await?;
    }
    shop.deploy_files(&files(2)).await?;
    shop.put(&format!("live/{FILM}"), "no film").await?;
    Ok(shop)
}

async fn body(shop: &Shop, key: &str) -> Made<Vec<u8>> {
    // moto tells a CRC-32 where it should tell a CRC-64/NVME: that library for Python is not installed.
    let unchecked = ResponseChecksumValidation::WhenRequired;
    let unchecked = aws_sdk_s3::Config::builder().response_checksum_validation(unchecked);
    let got = shop.s3.get_object().bucket(&shop.bucket).key(key).customize().config_override(unchecked);
    let got = got.send().await.map_err(told)?;
    Ok(got.body.collect().await.map_err(told)?.to_vec())
}

async fn head(shop: &Shop, key: &str) -> Made<HeadObjectOutput> {
    shop.s3.head_object().bucket(&shop.bucket).key(key).send().await.map_err(told)
}

/// The film is that of a release, and no upload is left of what was done for it.
async fn plays(shop: &Shop, release: u8) -> CaseResult {
    let served = body(shop, &format!("live/{FILM}")).await?;
    ensure(served == film(release), format!("another film is served: {} bytes", served.len()))?;
    nothing_left(shop).await
}

/// No upload has begun and not ended, and none is noted.
async fn nothing_left(shop: &Shop) -> CaseResult {
    equal("uploads that are left", &uploads(shop).await?, &0)?;
    let notes = shop.below(".rollback/").await?;
    ensure(!notes.keys().any(|key| key.contains(".uploads/")), format!("{:?}", notes.keys()))
}

async fn uploads(shop: &Shop) -> Made<usize> {
    let listed = shop.s3.list_multipart_uploads().bucket(&shop.bucket).send().await.map_err(told)?;
    Ok(listed.uploads().len())
}

/// How many requests there were whose method and path are so.
fn sent(shop: &Shop, method: &str, texts: &[&str]) -> usize {
    let fits = |path: &str| texts.iter().all(|text| path.contains(text));
    shop.proxy.log().iter().filter(|one| one.method == method && fits(&one.path)).count()
}

/// Requests for this part of the film.
fn part(fault: Fault, number: u32) -> Rule {
    Rule::new(fault).method("PUT").path(&format!("/*/live/{ENCODED}*partNumber={number}&*"))
}

/// Those that end an upload.
fn complete(fault: Fault) -> Rule {
    Rule::new(fault).method("POST").path(&format!("/*/live/{ENCODED}*uploadId=*"))
}

fn denied() -> Fault {
    let body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    Fault::Answer(Answer::new(403).body("application/xml", body))
}

fn failed(ran: &Ran, texts: &[&str]) -> CaseResult {
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    let said = format!("{}{}", ran.out, ran.err);
    for text in texts {
        ensure(said.contains(text), format!("{text:?} is not said: {ran}"))?;
    }
    Ok(())
}

/// The bytes, and everything that goes with them.
pub(super) async fn copied(emulator: Emulator) -> CaseResult {
    let shop = shop(emulator, PART).await?;
    let planned = shop.run("plan web --to version=v1 --reason bad")?.expect(0);
    let about = Lasting::from_secs(1).to_string();
    let text = format!("1 objects of more than {PART} bytes are copied in parts");
    ensure(planned.out.contains(&text) && planned.out.contains(&about), format!("{planned}"))?;
    shop.back(0)?;
    plays(&shop, 1).await?;
    equal("how many parts", &sent(&shop, "PUT", &["partNumber="]), &3)?;
    let (key, archived) = (format!("live/{FILM}"), format!("versions/v1/{FILM}"));
    let (live, wanted) = (head(&shop, &key).await?, head(&shop, &archived).await?);
    equal("its type", &live.content_type(), &Some("video/mp4"))?;
    equal("its language", &live.content_language(), &Some("de"))?;
    equal("how it is shown", &live.content_disposition(), &Some("inline"))?;
    equal("for how long it is kept", &live.cache_control(), &Some("max-age=60"))?;
    equal(
        "its metadata",
        &live.metadata().and_then(|all| all.get("build")).map(String::as_str),
        &Some("1 + 2"),
    )?;
    equal("where it leads", &live.website_redirect_location(), &Some("/elsewhere"))?;
    equal("where it is stored", &live.storage_class(), &Some(&StorageClass::StandardIa))?;
    equal("until when it is fresh", &live.expires_string(), &wanted.expires_string())?;
    // Cut in the same places, it has the same tag.
    equal("its tag", &live.e_tag(), &wanted.e_tag())?;
    // ministack keeps no tags that an upload begins with.
    if matches!(emulator, Emulator::Moto) {
        let tags = shop.s3.get_object_tagging().bucket(&shop.bucket).key(&key).send().await.map_err(told)?;
        let mut tags: Vec<_> = tags.tag_set().iter().map(|tag| (tag.key(), tag.value())).collect();
        tags.sort_unstable();
        equal("its tags", &tags, &TAGS.to_vec())?;
    }
    // The page comes after it.
    let written = shop.written();
    let place = |name: &str| written.iter().rposition(|key| key.ends_with(name));
    ensure(place(ENCODED) < place("index.html"), format!("{written:?}"))?;
    let ran = shop.back(0)?;
    ensure(ran.out.contains("already there"), format!("{ran}"))
}

/// What was uploaded whole has another tag than its copy in parts: it is known all the same.
pub(super) async fn uploaded_whole() -> CaseResult {
    let shop = shop(Emulator::Ministack, usize::MAX).await?;
    shop.back(0)?;
    plays(&shop, 1).await?;
    let ran = shop.back(0)?;
    ensure(ran.out.contains("already there"), format!("{ran}"))?;
    // Also where something else was written since.
    shop.put("live/index.html", &files(2)["index.html"]).await?;
    shop.back(0)?;
    plays(&shop, 1).await?;
    equal("how many uploads began", &sent(&shop, "POST", &["?uploads"]), &1)
}

/// The source is cut in other places than we would: so is the copy, and it has the same tag.
pub(super) async fn cut_alike() -> CaseResult {
    let shop = shop(Emulator::Ministack, 7 * MIB).await?;
    // ministack knows no parts of objects when it is asked for their heads.
    let relay = with_first_part(&shop.account, 7 * MIB).map_err(told)?;
    shop.configure(&shop.bucket, &format!("endpoint_url = {:?}\n", relay.url()))?;
    shop.back(0)?;
    plays(&shop, 1).await?;
    let live = head(&shop, &format!("live/{FILM}")).await?;
    equal("its tag", &live.e_tag(), &head(&shop, &format!("versions/v1/{FILM}")).await?.e_tag())
}

/// One part cannot be copied: no page is touched, nothing stays, and it is said.
pub(super) async fn one_part_fails() -> CaseResult {
    let shop = shop(Emulator::Ministack, PART).await?;
    shop.faults(Faults::none().rule(part(denied(), 2)));
    failed(&shop.run(RUN)?, &["film #1+ü.mp4", "part 2", "s3:PutObject"])?;
    equal("the page", &shop.served().await?["index.html"], &files(2)["index.html"])?;
    equal("the film", &shop.body(&format!("live/{FILM}")).await?.as_str(), &"no film")?;
    equal("how often it was completed", &sent(&shop, "POST", &["uploadId="]), &0)?;
    nothing_left(&shop).await
}

/// Who may not give uploads up is told how it is done, and the next rollback does it.
pub(super) async fn not_given_up() -> CaseResult {
    let shop = shop(Emulator::Ministack, PART).await?;
    let abort = Rule::new(denied()).method("DELETE").path("/*uploadId=*");
    shop.faults(Faults::none().rule(part(denied(), 2)).rule(abort));
    failed(&shop.run(RUN)?, &["s3:PutObject", "s3:AbortMultipartUpload", "abort-multipart-upload --bucket"])?;
    // One for each time that it was tried.
    ensure(uploads(&shop).await? > 0, "none is left")?;
    shop.faults(Faults::none());
    shop.back(0)?;
    plays(&shop, 1).await
}

/// A busy server is asked for that part again, and for no other one.
pub(super) async fn busy() -> CaseResult {
    let shop = shop(Emulator::Ministack, PART).await?;
    shop.faults(Faults::none().rule(part(Fault::Answer(Answer::s3(503)), 2).first(1)));
    shop.back(0)?;
    plays(&shop, 1).await?;
    equal("how many uploads began", &sent(&shop, "POST", &["?uploads"]), &1)?;
    equal("how many parts were sent", &sent(&shop, "PUT", &["partNumber="]), &4)
}

/// The copy is found, and not made once more.
pub(super) async fn lost_answer(emulator: Emulator) -> CaseResult {
    let shop = shop(emulator, PART).await?;
    shop.faults(Faults::none().rule(complete(Fault::ResetAfter).first(1)));
    shop.back(0)?;
    plays(&shop, 1).await?;
    equal("how many uploads began", &sent(&shop, "POST", &["?uploads"]), &1)?;
    equal("how often it was completed", &sent(&shop, "POST", &["uploadId="]), &1)
}

/// Whoever is killed in the middle of it leaves parts that no listing shows: the next rollback gives up exactly these.
pub(super) async fn cut_off() -> CaseResult {
    let shop = shop(Emulator::Ministack, PART).await?;
    // A deploy is under way that has nothing to do with it.
    let other = shop.s3.create_multipart_upload().bucket(&shop.bucket).key(format!("live/{FILM}"));
    let other = other.send().await.map_err(told)?;
    shop.faults(Faults::none().rule(part(Fault::Hang, 2)));
    let mut running = shop.site.start(RUN)?;
    until("the second part is copied", || (sent(&shop, "PUT", &["partNumber=2"]) > 0).then_some(()))?;
    ensure(running.kill()?, "it had ended")?;
    equal("uploads that are left", &uploads(&shop).await?, &2)?;
    shop.faults(Faults::none());
    shop.back(0)?;
    let left = shop.s3.list_multipart_uploads().bucket(&shop.bucket).send().await.map_err(told)?;
    let left: Vec<_> = left.uploads().iter().map(|upload| upload.upload_id()).collect();
    equal("the deploy that is under way", &left, &vec![other.upload_id()])?;
    let id = other.upload_id().unwrap_or_default();
    let ended =
        shop.s3.abort_multipart_upload().bucket(&shop.bucket).key(format!("live/{FILM}")).upload_id(id);
    ended.send().await.map_err(told)?;
    plays(&shop, 1).await
}

/// Whoever asks it to stop is heard between two parts.
pub(super) async fn stopped() -> CaseResult {
    let shop = shop(Emulator::Ministack, PART).await?;
    shop.faults(Faults::none().rule(part(Fault::delay(std::time::Duration::from_secs(2)), 2)));
    let running = shop.site.start(RUN)?;
    until("the second part is copied", || (sent(&shop, "PUT", &["partNumber=2"]) > 0).then_some(()))?;
    running.signal("INT")?;
    failed(&running.end()?, &[])?;
    equal("how often it was completed", &sent(&shop, "POST", &["uploadId="]), &0)?;
    equal("the page", &shop.served().await?["index.html"], &files(2)["index.html"])?;
    nothing_left(&shop).await
}

/// Somebody else writes the film while its parts are copied: theirs stays.
pub(super) async fn overtaken() -> CaseResult {
    let shop = shop(Emulator::Ministack, PART).await?;
    shop.faults(Faults::none().rule(part(Fault::delay(std::time::Duration::from_secs(1)), 2)));
    let running = shop.site.start(RUN)?;
    until("the second part is copied", || (sent(&shop, "PUT", &["partNumber=2"]) > 0).then_some(()))?;
    shop.put(&format!("live/{FILM}"), "somebody else's").await?;
    failed(&running.end()?, &["somebody else"])?;
    equal("the film", &shop.body(&format!("live/{FILM}")).await?.as_str(), &"somebody else's")?;
    equal("the page", &shop.served().await?["index.html"], &files(2)["index.html"])?;
    nothing_left(&shop).await
}

/// A version is copied in parts as well.
pub(super) async fn by_versions(emulator: Emulator) -> CaseResult {
    let shop = Shop::empty(emulator, "live/")?.copying_in_parts(PART)?;
    keep_versions(&shop, "Enabled").await?;
    shop.configure(&shop.bucket, "quiet = \"1s\"\n")?;
    let key = format!("live/{FILM}");
    upload(&shop, &key, &film(1), PART).await?;
    shop.put("live/index.html", "good").await?;
    let between = between();
    upload(&shop, &key, &film(2), PART).await?;
    shop.put("live/index.html", "bad!").await?;
    let back = format!("run web --to as-of={between} --yes --no-quarantine --reason bad");
    shop.run(&back)?.expect(0);
    plays(&shop, 1).await?;
    equal("how many parts", &sent(&shop, "PUT", &["partNumber="]), &3)?;
    equal("its type", &head(&shop, &key).await?.content_type(), &Some("video/mp4"))?;
    equal("the page", &shop.body("live/index.html").await?.as_str(), &"good")?;
    let ran = shop.run(&back)?.expect(0);
    ensure(ran.out.contains("already there"), format!("{ran}"))
}
