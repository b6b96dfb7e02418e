//! What is looked at before anybody hatches: whether the server has everything that the scenario will ask for.
//!
//! Why: what is missing would come out in the middle of a run, as wrong answers of a server that is right.
//! Promises: the login form, for each application, too; a ticket that nobody issued is refused; each account signs
//! in and out once, [`ACCOUNTS_MAX`] at most; passwords can be checked and an application refuses where the scenario
//! needs it. What was done is handed back, since it is in the server's audit record. Does not: judge; the first
//! thing that is missing ends it.

use std::sync::Arc;

use anyhow::{Context, bail};

use super::counts::Counts;
use super::scenario::Scenario;
use super::target::Target;
use crate::cas::TicketAnswer;
use crate::cas::validation::Validation;
use crate::lab::Unhealthy;
use crate::person::{SignIn, SignOut};
use crate::stop::Stop;

/// Accounts that are tried; of more, some that are spread evenly.
pub const ACCOUNTS_MAX: usize = 100;
/// Sign-ins under way at the same moment.
const AT_ONCE: usize = 8;
/// Accounts that a message names.
const NAMED_MAX: usize = 5;

/// What a scenario will ask for.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    accounts: usize,
    services: usize,
    /// Passwords are checked by the REST protocol.
    checks: bool,
    /// An application refuses everybody.
    refusals: bool,
}

impl Needs {
    /// Of this scenario.
    pub fn of(scenario: &Scenario) -> Self {
        let day = match scenario {
            Scenario::Day(day) => Some(&day.events),
            Scenario::Population(_) => None,
        };
        Self {
            accounts: usize::from(scenario.accounts()),
            services: usize::from(scenario.services()),
            checks: day
                .is_some_and(|day| day.authentication_success > day.ticket_granting_ticket_created),
            refusals: day.is_some_and(|day| day.service_ticket_not_created > 0),
        }
    }
}

/// Looks at everything; what was done.
///
/// # Errors
/// [`Unhealthy`], with what is missing and what to do; or when it was interrupted.
pub async fn look(target: &Target, needs: Needs, stop: &Stop) -> anyhow::Result<Counts> {
    tokio::select! {
        done = all(target, needs) => done,
        () = stop.wait() => bail!("interrupted before anything was measured"),
    }
}

async fn all(target: &Target, needs: Needs) -> anyhow::Result<Counts> {
    let client = target.lab.client.another(target.browsers.at(0));
    target.lab.look_at_forms(&client, needs.services).await?;
    made_up_ticket(target).await?;
    let mut done = Counts {
        replays: 1,
        ..accounts(target, needs.accounts).await?
    };
    if needs.refusals {
        done += refusal(target).await?;
    }
    if needs.checks {
        done += checks(target).await?;
    }
    Ok(done)
}

async fn made_up_ticket(target: &Target) -> anyhow::Result<()> {
    let front = &target.lab.cluster.front;
    let applications = target.applications(1);
    let application = applications.first().context("no application")?;
    let answer = application.validate(front, "ST-1-nobody").await;
    if matches!(answer, Validation::Refused { .. }) {
        return Ok(());
    }
    let version = target.protocol();
    bail!(Unhealthy(format!(
        "{front}: a ticket that nobody issued was answered with {answer}, by version {version} of the protocol. A \
         server without /p3/serviceValidate takes --protocol 2"
    )))
}

/// Each account signs in and out.
async fn accounts(target: &Target, wanted: usize) -> anyhow::Result<Counts> {
    let accounts = target.accounts.len().min(wanted.max(1));
    let tried = accounts.min(ACCOUNTS_MAX);
    let mut tasks = tokio::task::JoinSet::new();
    let (mut done, mut failed) = (Counts::default(), Vec::new());
    for number in 0..tried {
        if tasks.len() >= AT_ONCE {
            take(tasks.join_next().await, &mut done, &mut failed)?;
        }
        // Spread evenly over those that the run draws from.
        let account = target.accounts.get(number * accounts / tried);
        let account = account.context("no account")?;
        let (user, password) = (account.user.clone(), account.password(false));
        let index = u32::try_from(number).unwrap_or(0);
        let mut person = target.browser(index);
        let front = Arc::<str>::from(target.lab.cluster.front.as_str());
        tasks.spawn(async move {
            match person.sign_in(&front, &user, &password).await {
                SignIn::Done => Ok(person.sign_out(&front).await),
                other => Err(format!("{user}: {other}")),
            }
        });
    }
    while !tasks.is_empty() {
        take(tasks.join_next().await, &mut done, &mut failed)?;
    }
    if failed.is_empty() {
        return Ok(done);
    }
    failed.sort();
    let count = failed.len();
    failed.truncate(NAMED_MAX);
    bail!(Unhealthy(format!(
        "{}: {count} of {tried} accounts cannot sign in ({}). The server must know the accounts with their passwords: \
         make them there, or name others with --accounts",
        target.lab.cluster.front,
        failed.join("; ")
    )))
}

type Tried = Result<SignOut, String>;

/// Counts one account.
fn take(
    tried: Option<Result<Tried, tokio::task::JoinError>>,
    done: &mut Counts,
    failed: &mut Vec<String>,
) -> anyhow::Result<()> {
    match tried
        .context("no sign-in under way")?
        .context("a sign-in ended")?
    {
        Ok(out) => {
            done.sign_ins += 1;
            done.sign_outs += u64::from(matches!(out, SignOut::Done));
        }
        Err(what) => failed.push(what),
    }
    Ok(())
}

/// The application that is for nobody must refuse, and only that.
async fn refusal(target: &Target) -> anyhow::Result<Counts> {
    let front = &target.lab.cluster.front;
    let account = target.accounts.first().context("no account")?;
    let mut person = target.browser(0);
    let answer = person
        .sign_in(front, &account.user, &account.password(false))
        .await;
    if !matches!(answer, SignIn::Done) {
        bail!(Unhealthy(format!(
            "{front}: {} cannot sign in: {answer}",
            account.user
        )));
    }
    let asked = person.ticket(front, &target.refused).await;
    let out = person.sign_out(front).await;
    if !matches!(asked, TicketAnswer::Odd(_)) {
        bail!(Unhealthy(format!(
            "{front}: the scenario needs an application that is registered and refused to everybody, and {} was not \
             refused to {}: register it so, or name such a one with --refused-service",
            target.refused, account.user
        )));
    }
    Ok(Counts {
        sign_ins: 1,
        sign_outs: u64::from(matches!(out, SignOut::Done)),
        not_created: 1,
        ..Counts::default()
    })
}

/// Passwords can be checked at every door where the run will do it.
async fn checks(target: &Target) -> anyhow::Result<Counts> {
    let account = target.accounts.first().context("no account")?;
    let applications = target.applications(1);
    let application = applications.first().context("no application")?;
    let mut done = Counts::default();
    for door in &target.replay_at {
        let password = account.password(false);
        let answer = application.check(door, &account.user, &password).await;
        if !matches!(answer, SignIn::Done) {
            bail!(Unhealthy(format!(
                "{door}: the scenario checks passwords by the REST protocol: {answer}"
            )));
        }
        done.checks += 1;
    }
    Ok(done)
}
