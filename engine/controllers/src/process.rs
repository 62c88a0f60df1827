//! The process: it waits to lead, then runs every controller that is switched on.

use std::sync::Arc;

use futures::future::BoxFuture;
use labkit_client::{Client, Elector, LeaderElection};
use tokio::task::JoinHandle;

use crate::config::ControllerManagerConfig;
use crate::context::Context;
use crate::list::CONTROLLERS;

const NAME: &str = "kube-controller-manager";

/// Runs the controller manager in the caller's component; never returns.
///
/// Where a real one exits when it loses the lease, this one stops its controllers and is a candidate again.
pub fn run(client: Client, config: ControllerManagerConfig) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let election = LeaderElection {
            lease_duration: config.leader_elect_lease_duration,
            renew_deadline: config.leader_elect_renew_deadline,
            retry_period: config.leader_elect_retry_period,
            ..LeaderElection::new("kube-system", NAME, &config.identity)
        };
        let config = Arc::new(config);
        let mut elector = Elector::new(&client, NAME, election);
        loop {
            if config.leader_elect {
                elector.acquire().await;
            }
            // Informers of its own for each term, as a new process has: what an old one showed may be long past.
            let _running = Running::start(&Context::new(client.clone(), config.clone()));
            if config.leader_elect {
                elector.hold().await;
            } else {
                std::future::pending::<()>().await;
            }
        }
    })
}

/// The controllers' tasks; they end when it is dropped.
struct Running(Vec<JoinHandle<()>>);

impl Running {
    fn start(context: &Context) -> Running {
        let enabled = CONTROLLERS.iter().filter(|controller| context.config.is_enabled(controller.name));
        Running(
            enabled.map(|controller| labkit_sim::spawn((controller.run)(context.of(controller)))).collect(),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}
