//! Why a call did not end with an answer, in the words of the metric.

/// What went wrong. Messages name the host at most: paths and queries may hold tickets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Not a URL that can be called.
    #[error("the URL cannot be called: {0}")]
    Url(&'static str),
    /// Plain text where only TLS will do.
    #[error("the URL is not https")]
    Plain,
    /// Too many calls wait already, or no turn came in time.
    #[error("too many requests to applications are under way")]
    Busy,
    /// No address for the name, or none in time.
    #[error("no address was found for {0}")]
    Name(String),
    /// The host is in a network where this application may not be called.
    #[error("{0} is in a private network, and the service definition does not name it")]
    Private(String),
    /// Nobody accepts the connection.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, String),
    /// The proxy does not let us through.
    #[error("the proxy refused {0}: {1}")]
    Proxy(String, String),
    /// The certificate is not trusted, is not the host's, or TLS failed otherwise.
    #[error("TLS with {0}: {1}")]
    Tls(String, String),
    /// The time was up.
    #[error("{0} did not answer in time")]
    Timeout(String),
    /// What came back is larger than wanted.
    #[error("the answer of {0} is too large")]
    TooLarge(String),
    /// What came back is no HTTP, or the connection broke.
    #[error("no answer from {0}: {1}")]
    Broken(String, String),
}

impl CallError {
    /// Label of the metric.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Url(_) => "bad_url",
            Self::Plain => "plain",
            Self::Busy => "busy",
            Self::Name(_) => "no_address",
            Self::Private(_) => "private",
            Self::Connect(..) => "connect",
            Self::Proxy(..) => "proxy",
            Self::Tls(..) => "tls",
            Self::Timeout(_) => "timeout",
            Self::TooLarge(_) => "too_large",
            Self::Broken(..) => "broken",
        }
    }

    /// What went wrong in a few words, without the host.
    pub fn reason(&self) -> String {
        let says = match self {
            Self::Url(why) => return format!("the URL cannot be called: {why}"),
            Self::Plain => "not https",
            Self::Busy => "too many requests under way",
            Self::Name(_) => "no address found",
            Self::Private(_) => "private address",
            Self::Timeout(_) => "timeout",
            Self::TooLarge(_) => "the answer is too large",
            Self::Connect(_, why) => return why.clone(),
            Self::Proxy(_, why) => return format!("refused by the proxy: {why}"),
            Self::Tls(_, why) => return format!("TLS: {why}"),
            Self::Broken(_, why) => return format!("no answer: {why}"),
        };
        says.to_owned()
    }

    /// Whether the same call may go better a little later.
    pub fn is_passing(&self) -> bool {
        !matches!(
            self,
            Self::Url(_) | Self::Plain | Self::Private(_) | Self::TooLarge(_)
        )
    }
}
