//! What an answer of the API says, by <https://prometheus.io/docs/prometheus/latest/querying/api/>: its format overview, its
//! instant queries, and its formats of results.

use serde::Deserialize;
use serde_json::Value;

use crate::settings::one_line;

/// The envelope of every answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    /// Errors that did not stop the query: some of the data may be missing.
    #[serde(default)]
    warnings: Option<Vec<String>>,
    /// VictoriaMetrics says so when some of its nodes did not answer.
    #[serde(default)]
    is_partial: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

/// One of a vector's series. A native histogram has a `histogram` in place of the value.
#[derive(Deserialize)]
struct Series {
    value: Option<Point>,
}

/// When, in seconds, and the number as a text.
#[derive(Deserialize)]
struct Point(#[expect(dead_code, reason = "what comes first")] f64, String);

/// The number, or why there is none and what to change.
pub(super) fn number(status: u16, body: &[u8]) -> Result<f64, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| strange(status))?;
    if answer.status != "success" {
        let why = format!("{} {}", answer.error_type, answer.error);
        return Err(format!("HTTP {status}: the query failed: {}", one_line(&why)));
    }
    if !(200..300).contains(&status) {
        return Err(strange(status));
    }
    if answer.is_partial {
        return Err("some of the data is missing, it says: its answer is partial".to_owned());
    }
    if let Some(warning) = answer.warnings.iter().flatten().next() {
        return Err(format!("some of the data may be missing, it warns: {}", one_line(warning)));
    }
    let data = answer.data.ok_or_else(|| strange(status))?;
    finite(&one(data)?)
}

/// The one value of a result.
fn one(data: Data) -> Result<String, String> {
    let unread = |_| "the answer is not in the form of Prometheus's API".to_owned();
    match data.result_type.as_str() {
        "scalar" => serde_json::from_value(data.result).map(|Point(_, value)| value).map_err(unread),
        "vector" => {
            let series: Vec<Series> = serde_json::from_value(data.result).map_err(unread)?;
            match <[Series; 1]>::try_from(series) {
                Ok([Series { value: Some(Point(_, value)) }]) => Ok(value),
                Ok([Series { value: None }]) => Err(
                    "the query gives a histogram: make a number of it, as with histogram_quantile(0.95, …)".to_owned(),
                ),
                Err(series) if series.is_empty() => Err(
                    "the query found nothing: see whether what it names is still collected; where nothing means zero, add: or vector(0)"
                        .to_owned(),
                ),
                Err(series) => Err(format!(
                    "the query found {} series, where one is wanted: put sum(…), max(…) or the like around it, or name more labels",
                    series.len()
                )),
            }
        }
        "matrix" => {
            Err("the query gives a range of time: make a number of it, as with rate(…) or last_over_time(…)"
                .to_owned())
        }
        other => Err(format!("the query gives a {}, where a number is wanted", one_line(other))),
    }
}

fn finite(value: &str) -> Result<f64, String> {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) => Err(format!(
            "the query gives {}, often a division by zero: for a rate of errors, leave out times without requests, as with: and on() (sum(rate(…)) > 0)",
            one_line(value)
        )),
        Err(_) => Err("the answer holds a value that is no number".to_owned()),
    }
}

/// What is not an answer of this API.
fn strange(status: u16) -> String {
    let next = match status {
        200..=299 => "`url` must be what stands before /api/v1/query",
        300..=399 => "it sends elsewhere, which is not followed: name that place in `url`",
        401 | 403 => "name the variable that holds a token in `bearer_env`, and see what it is allowed",
        404 | 405 => "`url` must be what stands before /api/v1/query",
        429 => "it is asked too often: raise `every`",
        _ => "see how the server is",
    };
    format!("HTTP {status}, and not in the form of Prometheus's API: {next}")
}
