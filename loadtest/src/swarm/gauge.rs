//! What the nodes use of their machine while they serve: processor and memory.
//!
//! Promises: read from /proc for processes of this machine, otherwise from the nodes' Prometheus pages; a
//! node that tells nothing is left out. What password hashing takes is told for all nodes or not at all. Does not: measure the load generator or a proxy.

use crate::cluster::Node;
use crate::http::{Call, Client};
use crate::lab::Lab;
use crate::process;
use crate::run::build::as_f64;

/// Processor seconds of password hashes, as Castor tells them.
const HASHING: &str = "castor_authn_hash_cpu_seconds_total ";

/// What one node has used so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Processor seconds since it started.
    pub cpu_s: f64,
    /// Resident bytes.
    pub resident: f64,
}

/// The nodes that can be looked at.
pub struct Gauges {
    nodes: Vec<(String, Source)>,
    /// Prometheus pages of the same nodes, which may tell what password hashing takes of it.
    pages: Vec<String>,
    client: Client,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Process(u32),
    Page(String),
}

impl Gauges {
    /// The given processes and pages; without any, the nodes of the cluster.
    pub fn new(lab: &Lab, pids: &[u32], pages: &[String]) -> Self {
        let mut nodes: Vec<(String, Source)> = Vec::new();
        let mut told = pages.to_vec();
        if told.is_empty() && pids.is_empty() {
            told = metrics_of(lab);
        }
        for (number, pid) in (1..).zip(pids) {
            nodes.push((format!("process {number}"), Source::Process(*pid)));
        }
        for (number, page) in (1..).zip(pages) {
            nodes.push((format!("node {number}"), Source::Page(page.clone())));
        }
        if nodes.is_empty() {
            for node in &lab.cluster.nodes {
                let source = if process(node.pid).is_some() {
                    Source::Process(node.pid)
                } else {
                    Source::Page(format!("{}/metrics", node.ops_url))
                };
                nodes.push((node.name.clone(), source));
            }
        }
        Self {
            nodes,
            pages: told,
            client: lab.client.another(None),
        }
    }

    /// Names of the nodes, in the order of the readings.
    pub fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Processor seconds that all nodes have spent on password hashes; none when one of them does not tell.
    pub async fn hashing(&self) -> Option<f64> {
        let mut all = None;
        for url in &self.pages {
            let answer = self.client.call(Call::get(url)).await.ok();
            let answer = answer.filter(|answer| answer.status == 200)?;
            all = Some(all.unwrap_or(0.0) + value(&answer.text(), HASHING)?);
        }
        all
    }

    /// One reading of each node.
    pub async fn read(&self) -> Vec<Option<Reading>> {
        let mut readings = Vec::with_capacity(self.nodes.len());
        for (_, source) in &self.nodes {
            readings.push(match source {
                Source::Process(pid) => process(*pid),
                Source::Page(url) => match self.client.call(Call::get(url)).await {
                    Ok(answer) if answer.status == 200 => page(&answer.text()),
                    _ => None,
                },
            });
        }
        readings
    }
}

/// Sum of the nodes that could be read both times.
pub fn cpu_between(before: &[Option<Reading>], after: &[Option<Reading>]) -> Option<f64> {
    let used: Vec<f64> = before
        .iter()
        .zip(after)
        .filter_map(|(before, after)| Some((*after)?.cpu_s - (*before)?.cpu_s))
        .collect();
    (!used.is_empty()).then(|| used.iter().sum())
}

fn process(pid: u32) -> Option<Reading> {
    let used = process::used(pid)?;
    Some(Reading {
        cpu_s: as_f64(used.cpu_ms) / 1000.0,
        resident: as_f64(used.resident),
    })
}

fn page(text: &str) -> Option<Reading> {
    Some(Reading {
        cpu_s: value(text, "process_cpu_seconds_total ")?,
        resident: value(text, "process_resident_memory_bytes ").unwrap_or(0.0),
    })
}

fn value(text: &str, name: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok())
}

/// The Prometheus pages of a cluster's nodes; none when one of them has no operations listener.
fn metrics_of(lab: &Lab) -> Vec<String> {
    let nodes = &lab.cluster.nodes;
    if nodes.iter().any(|node| node.ops_url.is_empty()) {
        return Vec::new();
    }
    let page = |node: &Node| format!("{}/metrics", node.ops_url);
    nodes.iter().map(page).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_writes() {
        let text = "# HELP x\nprocess_cpu_seconds_total 12.5\nprocess_resident_memory_bytes 4e6\n";
        let reading = page(text).unwrap();
        assert_eq!((reading.cpu_s, reading.resident), (12.5, 4e6));
        assert_eq!(page("process_open_fds 3"), None);
    }

    #[test]
    fn a_process_of_this_machine_can_be_read() {
        let reading = process(std::process::id()).unwrap();
        assert!(reading.resident > 1e5, "{reading:?}");
        assert_eq!(process(0), None);
    }

    #[test]
    fn a_node_that_tells_nothing_is_left_out() {
        let reading = |cpu_s| {
            Some(Reading {
                cpu_s,
                resident: 1.0,
            })
        };
        let before = [reading(1.0), None, reading(2.0)];
        assert_eq!(
            cpu_between(&before, &[reading(2.5), reading(9.0), None]),
            Some(1.5)
        );
        assert_eq!(cpu_between(&before, &[None, None, None]), None);
    }
}
