//! What a reload takes: the one list of everything that can change without a restart.

use std::path::PathBuf;
use std::sync::Arc;

use castor_proto::ids::NodeName;
use castor_replication::driver::Network;
use castor_replication::driver::tls::NodeIdentity;

use super::preflight::{self, Checked};
use crate::clock::Clock;
use crate::config::{Live, Loaded};
use crate::ops::logging::Logging;
use crate::ops::metrics::Metrics;
use crate::ops::reload::Reloader;
use crate::outbound::{Outbound, Trust};
use crate::server::tls::{Identity, TlsAcceptor};

/// What is reloaded, beside the files of [`Checked`].
pub(super) struct Targets {
    pub(super) live: Live,
    pub(super) logging: Option<Logging>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) network: Network,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) outbound: Outbound,
}

/// Registers everything, the configuration first: what follows uses it.
pub(super) fn reloader(checked: &Checked, targets: &Targets) -> Reloader {
    let mut reloader = Reloader::new(&targets.metrics);
    configuration(&mut reloader, &checked.loaded, targets);
    http_certificate(&mut reloader, targets);
    cluster_certificate(&mut reloader, checked.node.clone(), targets);
    outbound_trust(&mut reloader, targets);

    let users = Arc::clone(&checked.users);
    reloader.add("users", [users.path().to_owned()], move || {
        users
            .reload()
            .map(|_| ())
            .map_err(|error| error.to_string())
    });
    let services = Arc::clone(&checked.services);
    reloader.add("services", [services.path().to_owned()], move || {
        let reloaded = services.reload();
        reloaded.map(|_| ()).map_err(|error| error.to_string())
    });
    let (web, live) = (Arc::clone(&checked.web), targets.live.clone());
    let folders: Vec<PathBuf> = {
        let config = live.load();
        let folders = [&config.web.template_folder, &config.web.asset_folder];
        folders.into_iter().flatten().cloned().collect()
    };
    reloader.add("web", folders, move || {
        web.reload(&live.load().web)
            .map_err(|error| error.to_string())
    });
    reloader
}

fn configuration(reloader: &mut Reloader, loaded: &Loaded, targets: &Targets) {
    let (live, logging) = (targets.live.clone(), targets.logging.clone());
    let started = loaded.clone();
    let files: Vec<PathBuf> = loaded.sources.file.iter().cloned().collect();
    reloader.add("configuration", files, move || {
        let waiting = live.reload(&started).map_err(|error| error.to_string())?;
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "changed keys wait for a restart");
        }
        match &logging {
            Some(logging) => logging
                .set_level(&live.load().log.level)
                .map_err(|error| error.to_string()),
            None => Ok(()),
        }
    });
}

fn http_certificate(reloader: &mut Reloader, targets: &Targets) {
    let Some(acceptor) = targets.tls.clone() else {
        return;
    };
    let (live, clock, metrics) = (
        targets.live.clone(),
        targets.clock.clone(),
        targets.metrics.clone(),
    );
    let files: Vec<PathBuf> = {
        let tls = &live.load().http.tls;
        [&tls.certificate, &tls.key]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    };
    reloader.add("http.tls", files, move || {
        let loaded = preflight::http_identity(&live.load(), &clock);
        if let Some(identity) = loaded.map_err(|error| error.to_string())? {
            acceptor.replace(&identity);
            show_http_expiry(&metrics, &identity);
        }
        Ok(())
    });
}

fn cluster_certificate(reloader: &mut Reloader, node: NodeName, targets: &Targets) {
    let (live, clock, metrics) = (
        targets.live.clone(),
        targets.clock.clone(),
        targets.metrics.clone(),
    );
    let network = targets.network.clone();
    let files = {
        let cluster = &live.load().cluster;
        [&cluster.certificate, &cluster.key, &cluster.ca_file].map(PathBuf::clone)
    };
    let inputs = files.clone();
    // Links are remade with a new identity; doing so for the same one would be noise.
    let taken = std::sync::Mutex::new(fingerprint(&inputs));
    reloader.add("cluster certificate", files, move || {
        let identity = preflight::cluster_identity(&live.load().cluster, &node, &clock)?;
        let now = fingerprint(&inputs);
        let mut taken = taken
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if *taken != now {
            network
                .set_identity(&identity)
                .map_err(|error| format!("cluster.certificate: {error}"))?;
            *taken = now;
            tracing::info!("the links to the other nodes are remade with the new certificate");
        }
        show_cluster_expiry(&metrics, &identity);
        Ok(())
    });
}

fn outbound_trust(reloader: &mut Reloader, targets: &Targets) {
    let (live, outbound) = (targets.live.clone(), targets.outbound.clone());
    let files: Vec<PathBuf> = live.load().outbound.ca_file.iter().cloned().collect();
    reloader.add("outbound", files, move || {
        let trust = Trust::load(live.load().outbound.ca_file.as_deref());
        outbound.set_trust(trust.map_err(|error| error.to_string())?);
        Ok(())
    });
}

fn fingerprint(files: &[PathBuf]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        let bytes = zeroize::Zeroizing::new(std::fs::read(file).unwrap_or_default());
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(&bytes);
    }
    hasher.finalize()
}

/// Shows when the listener's certificate ends.
pub(super) fn show_http_expiry(metrics: &Metrics, identity: &Identity) {
    let expiry = metrics.certificate_expiry.with_label_values(&["http"]);
    expiry.set(identity.expires as f64);
}

/// Shows when the node's certificate ends.
pub(super) fn show_cluster_expiry(metrics: &Metrics, identity: &NodeIdentity) {
    let expiry = metrics.certificate_expiry.with_label_values(&["cluster"]);
    expiry.set(identity.not_after() as f64 / 1000.0);
}
