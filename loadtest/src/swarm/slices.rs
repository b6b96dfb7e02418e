//! What is looked at every few seconds of a run: how fast answers came, and how far nodes are behind each other.
//!
//! Promises: a slice holds what came since the slice before, and nothing else; nodes that tell no lag are
//! left out. Does not: judge.

use crate::histogram::Latencies;
use crate::http::{Call, Client};
use crate::lab::Lab;

/// Longest slice in seconds, and how many parts a short run has.
const LONGEST_S: f64 = 5.0;
const PARTS: f64 = 100.0;
/// Age of the oldest change that a peer has not acknowledged, as Castor tells it.
const LAG: &str = "castor_replication_lag_seconds{";

/// The percentiles that are looked at; 100 is the slowest.
pub const PERCENTILES: [f64; 3] = [50.0, 99.0, 100.0];
/// The values at [`PERCENTILES`] in milliseconds; no number where a slice has too few answers.
pub type Fast = [f64; 3];

/// One slice.
#[derive(Debug, Clone, Default)]
pub struct Slice {
    /// Requests for a ticket; `None` when there was none.
    pub ticket: Option<Fast>,
    /// Validations.
    pub validate: Option<Fast>,
    /// Name of each node that told it, and the largest lag to one of its peers, in seconds.
    pub lag: Vec<(String, f64)>,
}

/// The latencies since the last slice.
#[derive(Default)]
pub struct Lately {
    /// Requests for a ticket.
    pub ticket: Latencies,
    /// Validations.
    pub validate: Latencies,
}

impl Lately {
    /// Ends a slice and begins the next.
    pub fn take(&mut self, lag: Vec<(String, f64)>) -> Slice {
        Slice {
            ticket: take(&mut self.ticket),
            validate: take(&mut self.validate),
            lag,
        }
    }
}

fn take(latencies: &mut Latencies) -> Option<Fast> {
    let there = latencies.count() > 0;
    let fast = PERCENTILES.map(|percentile| latencies.percentile_ms(percentile));
    latencies.clear();
    there.then_some(fast)
}

/// Seconds on the clock from slice to slice, in a run of `real` seconds.
pub fn length(real: f64) -> f64 {
    (real / PARTS).clamp(1.0, LONGEST_S)
}

/// The pages that tell how far nodes are behind.
pub struct Lags {
    pages: Vec<(String, String)>,
    client: Client,
}

impl Lags {
    /// The given pages; without any, those of the cluster's nodes.
    pub fn new(lab: &Lab, pages: &[String]) -> Self {
        let given = (1..).zip(pages);
        let mut pages: Vec<(String, String)> = given
            .map(|(number, page)| (format!("node {number}"), page.clone()))
            .collect();
        if pages.is_empty() {
            let page = |node: &crate::cluster::Node| {
                (node.name.clone(), format!("{}/metrics", node.ops_url))
            };
            let nodes = lab.cluster.nodes.iter();
            pages = nodes
                .filter(|node| !node.ops_url.is_empty())
                .map(page)
                .collect();
        }
        Self {
            pages,
            client: lab.client.another(None),
        }
    }

    /// Of each node that tells it.
    pub async fn read(&self) -> Vec<(String, f64)> {
        let mut lags = Vec::with_capacity(self.pages.len());
        for (name, url) in &self.pages {
            if let Ok(answer) = self.client.call(Call::get(url)).await
                && answer.status == 200
                && let Some(lag) = largest(&answer.text())
            {
                lags.push((name.clone(), lag));
            }
        }
        lags
    }
}

fn largest(page: &str) -> Option<f64> {
    let lines = page.lines().filter(|line| line.starts_with(LAG));
    let lags = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    lags.filter(|lag| lag.is_finite()).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_slice_holds_what_came_since_the_last_one() {
        let mut lately = Lately::default();
        lately.validate.record(Duration::from_millis(7));
        let slice = lately.take(Vec::new());
        assert!(slice.ticket.is_none());
        assert!(
            slice
                .validate
                .is_some_and(|[p50, p99, slowest]| p50.is_nan()
                    && p99.is_nan()
                    && (6.9..7.1).contains(&slowest))
        );
        assert!(lately.take(Vec::new()).validate.is_none());
    }

    #[test]
    fn the_lag_of_a_node_is_the_largest_to_a_peer() {
        let page = "# TYPE castor_replication_lag_seconds gauge\n\
            castor_replication_lag_seconds{peer=\"a\"} 0\n\
            castor_replication_lag_seconds{peer=\"b\"} 2.5e-1\n";
        assert_eq!(largest(page), Some(0.25));
        assert_eq!(largest("process_open_fds 3"), None);
    }

    #[test]
    fn short_runs_have_short_slices() {
        assert!((length(10.0) - 1.0).abs() < 1e-9 && (length(1e6) - 5.0).abs() < 1e-9);
    }
}
