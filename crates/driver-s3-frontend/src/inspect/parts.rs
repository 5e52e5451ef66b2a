//! Objects that are copied in parts.

use rollback_core::target::{Finding, Inspection};
use rollback_core::time::Lasting;

use super::copied_entries;
use crate::act::WRITTEN_AT_A_TIME;
use crate::site::{Compared, Site};

/// What S3 copies in a second for each request, as AWS plans with.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns.html>
const EACH_SECOND: u64 = 85_000_000;

/// Adds how many there are and how long they take.
pub(super) fn told(site: &Site, inspection: Inspection, compared: &Compared) -> Inspection {
    let large = copied_entries(compared).filter(|entry| site.parts.needed(entry.content.size));
    let (mut count, mut bytes, mut seconds, mut largest) = (0_u64, 0_u64, 0_u64, None);
    for entry in large {
        let size = entry.content.size;
        let at_a_time = site.parts.cut(size, None).numbers().take(WRITTEN_AT_A_TIME).count() as u64;
        (count, bytes) = (count + 1, bytes.saturating_add(size));
        seconds = seconds.saturating_add(size.div_ceil(EACH_SECOND * at_a_time.max(1)));
        largest = largest.max(Some((size, entry.key.shown())));
    }
    let Some((_, largest)) = largest else { return inspection };
    let message = format!(
        "{count} objects of more than {} bytes are copied in parts ({bytes} bytes, the largest is {largest}): expect about {}",
        site.parts.above(),
        Lasting::from_secs(seconds)
    );
    let next = "see that s3:AbortMultipartUpload is allowed: without it, parts that were copied in vain stay and are paid for";
    inspection.finding(Finding::info("copied-in-parts", message).next(next))
}
