//! Throughput of several contestants, measured in turns within one run: a round gives each of them the same number of requests,
//! and a ratio is taken within each round. Whatever disturbs the machine disturbs neighbours alike, and the median of the
//! ratios does not see it.

use std::time::Instant;

use tokio::task::JoinSet;

use crate::contestants::{Contestant, Name};
use crate::report::Summary;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many times each contestant has its turn.
    pub rounds: usize,
    /// How many requests it makes in a turn.
    pub requests: u64,
    /// How many of them are under way at a time.
    pub width: u64,
}

/// What one contestant came to.
#[derive(Clone, Debug)]
pub struct Throughput {
    /// Who.
    pub name: Name,
    /// Requests per second.
    pub rate: Summary,
    /// Its rate as a part of the baseline's rate in the same round.
    pub ratio: Summary,
}

/// Runs all rounds. The baseline must be among the contestants.
pub async fn measure(contestants: &[Contestant], baseline: Name, plan: Plan) -> Vec<Throughput> {
    // Connections are made, code and caches are warm.
    for contestant in contestants {
        turn(contestant, plan).await;
    }
    let mut rates: Vec<Vec<f64>> = vec![Vec::with_capacity(plan.rounds); contestants.len()];
    for round in 0..plan.rounds {
        // Nobody always comes after the same one.
        for place in 0..contestants.len() {
            let index = match round % 2 {
                0 => (round / 2 + place) % contestants.len(),
                _ => (round / 2 + contestants.len() - place) % contestants.len(),
            };
            rates[index].push(turn(&contestants[index], plan).await);
        }
    }
    let baseline = contestants.iter().position(|contestant| contestant.name() == baseline);
    let baseline = rates[baseline.expect("a baseline that takes part")].clone();
    let summed_up = contestants.iter().zip(&rates).map(|(contestant, rates)| Throughput {
        name: contestant.name(),
        rate: Summary::of(rates.clone()),
        ratio: Summary::of(rates.iter().zip(&baseline).map(|(rate, base)| rate / base).collect()),
    });
    summed_up.collect()
}

/// One turn of one contestant, in requests per second.
pub async fn turn(contestant: &Contestant, plan: Plan) -> f64 {
    let each = plan.requests.div_ceil(plan.width);
    let started = Instant::now();
    if plan.width == 1 {
        contestant.get(each).await;
    } else {
        let mut tasks = JoinSet::new();
        for _ in 0..plan.width {
            let contestant = contestant.clone();
            tasks.spawn(async move { contestant.get(each).await });
        }
        tasks.join_all().await;
    }
    (each * plan.width) as f64 / started.elapsed().as_secs_f64()
}
