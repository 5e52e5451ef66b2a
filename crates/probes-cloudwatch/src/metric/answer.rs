//! The newest datapoint of an answer, if the answer is all there is.

use aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataOutput;
use aws_sdk_cloudwatch::types::{MessageData, StatusCode};
use jiff::Timestamp;
use rollback_aws_support::asking::time;

use super::ID;
use crate::settings::one_line;

/// One number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Datapoint {
    /// When its period began.
    pub(super) at: Timestamp,
    pub(super) value: f64,
}

/// The newest datapoint, `None` where CloudWatch has none; or why nobody knows.
pub(super) fn newest(answer: &GetMetricDataOutput) -> Result<Option<Datapoint>, String> {
    let Some(result) = answer.metric_data_results().iter().find(|result| result.id() == Some(ID)) else {
        return Err(with_words("the answer holds no result", answer.messages()));
    };
    match result.status_code() {
        Some(StatusCode::Complete) => {}
        // There would be more on another page. The newest come first, so that those that are here are enough.
        Some(StatusCode::PartialData) if answer.next_token().is_some() && !result.values().is_empty() => {}
        status => {
            let status = status.map_or("nothing", StatusCode::as_str);
            let what = format!("CloudWatch did not read all of the metric (it says {})", one_line(status));
            return Err(with_words(&what, result.messages()));
        }
    }
    let times = result.timestamps().iter().map(|at| time(Some(at)));
    let datapoints =
        times.zip(result.values()).filter_map(|(at, value)| Some(Datapoint { at: at?, value: *value }));
    match datapoints.max_by_key(|datapoint| datapoint.at) {
        Some(newest) if !newest.value.is_finite() => {
            Err(format!("the newest datapoint is {}, no number", newest.value))
        }
        newest => Ok(newest),
    }
}

fn with_words(what: &str, messages: &[MessageData]) -> String {
    let words = messages.iter().find_map(|message| message.value());
    words.map_or_else(|| what.to_owned(), |words| format!("{what}: {}", one_line(words)))
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudwatch::types::MetricDataResult;
    use aws_smithy_types::DateTime;

    use super::*;

    fn answered(status: StatusCode, datapoints: &[(i64, f64)]) -> GetMetricDataOutput {
        let (times, values): (Vec<_>, Vec<_>) =
            datapoints.iter().map(|(at, value)| (DateTime::from_secs(*at), *value)).unzip();
        let result = MetricDataResult::builder()
            .id(ID)
            .status_code(status)
            .set_timestamps(Some(times))
            .set_values(Some(values))
            .messages(MessageData::builder().code("Why").value("because").build());
        GetMetricDataOutput::builder().metric_data_results(result.build()).build()
    }

    fn value(answer: &GetMetricDataOutput) -> Option<f64> {
        newest(answer).unwrap().map(|found| found.value)
    }

    #[test]
    fn the_newest_is_taken_in_whatever_order_they_come() {
        assert_eq!(value(&answered(StatusCode::Complete, &[(60, 1.0), (120, 2.0), (0, 3.0)])), Some(2.0));
        assert_eq!(value(&answered(StatusCode::Complete, &[])), None);
    }

    #[test]
    fn what_is_not_complete_is_no_absence_and_no_number() {
        for status in [
            StatusCode::PartialData,
            StatusCode::InternalError,
            StatusCode::Forbidden,
            StatusCode::from("SomethingNew"),
        ] {
            for datapoints in [&[][..], &[(60, 1.0)]] {
                let why = newest(&answered(status.clone(), datapoints)).unwrap_err();
                assert!(why.contains(status.as_str()) && why.ends_with(": because"), "{why}");
            }
        }
        assert!(newest(&GetMetricDataOutput::builder().build()).is_err());
    }

    #[test]
    fn a_first_page_is_enough() {
        let mut answer = answered(StatusCode::PartialData, &[(60, 1.0)]);
        answer.next_token = Some("more".to_owned());
        assert_eq!(value(&answer), Some(1.0));
        let mut empty = answered(StatusCode::PartialData, &[]);
        empty.next_token = Some("more".to_owned());
        assert!(newest(&empty).is_err());
    }

    #[test]
    fn what_is_no_number_is_none() {
        for wrong in [f64::NAN, f64::INFINITY] {
            assert!(newest(&answered(StatusCode::Complete, &[(60, wrong), (0, 1.0)])).is_err());
        }
    }
}
