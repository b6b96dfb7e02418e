//! A node, a person who has signed in, and an application that takes proxy-granting tickets.

use super::{Answer, Browser, Callback, Cluster, Options};

pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) browser: Browser,
    pub(crate) callback: Callback,
}

impl Scene {
    /// With these definitions beside those that every cluster has.
    pub(crate) async fn with(services: &[&'static str]) -> Self {
        let options = Options {
            services: services.to_vec(),
            ..Options::default()
        };
        let cluster = Cluster::start(1, options).await;
        let callback = Callback::start("200 OK").await;
        callback.is_trusted_by(&cluster);
        let mut browser = Browser::new();
        let router = &cluster.nodes[0].router;
        browser.sign_in(router, "/cas/login").await;
        Self {
            cluster,
            browser,
            callback,
        }
    }

    /// What an application gets that asks for this, below `/cas`.
    pub(crate) async fn ask(&self, path: &str) -> Answer {
        let router = &self.cluster.nodes[0].router;
        Browser::new().get(router, &format!("/cas{path}")).await
    }

    /// A service ticket of the session, not from new credentials.
    pub(crate) async fn ticket(&mut self, service: &str) -> String {
        let path = format!("/cas/login?service={}", encode(service));
        let router = &self.cluster.nodes[0].router;
        let answer = self.browser.get(router, &path).await;
        answer.ticket().unwrap()
    }

    /// A service ticket granted on presentation of credentials.
    pub(crate) async fn fresh_ticket(&self, service: &str) -> String {
        let path = format!("/cas/login?service={}", encode(service));
        let router = &self.cluster.nodes[0].router;
        let answer = Browser::new().sign_in(router, &path).await;
        answer.ticket().unwrap()
    }

    pub(crate) fn pgt_url(&self) -> String {
        format!("https://localhost:{}/pgt", self.callback.port)
    }

    /// A proxy-granting ticket of this application and its IOU, delivered to the callback.
    pub(crate) async fn pgt(&mut self, service: &str) -> (String, String) {
        let ticket = self.ticket(service).await;
        let (service, url) = (encode(service), encode(&self.pgt_url()));
        let path = format!("/serviceValidate?service={service}&ticket={ticket}&pgtUrl={url}");
        let answer = self.ask(&path).await;
        let iou = between(&answer.body, "<cas:proxyGrantingTicket>", "<").unwrap();
        assert_eq!(self.callback.parameter("pgtIou"), iou);
        (self.callback.parameter("pgtId"), iou.to_owned())
    }

    /// A proxy ticket of this application for another one.
    pub(crate) async fn proxy_ticket(&mut self, service: &str, target: &str) -> String {
        let (pgt, _) = self.pgt(service).await;
        let path = format!("/proxy?pgt={pgt}&targetService={}", encode(target));
        let answer = self.ask(&path).await;
        let ticket = between(&answer.body, "<cas:proxyTicket>", "<");
        ticket.unwrap().to_owned()
    }
}

/// What stands between two texts.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split(after).next()
}

pub(crate) fn encode(value: &str) -> String {
    castor_node::web::form::encode(value)
}
