//! Creation in growing batches. Counterpart: `slowStartBatch`.

use std::future::Future;

use futures::future::join_all;

use crate::work::Failed;

/// Calls `one` in batches of 1, 2, 4 and so on, and stops after a batch with a failure: if nothing can be
/// made, few requests find that out. Returns how many succeeded.
pub(super) async fn create<F>(count: usize, one: impl Fn() -> F) -> (usize, Result<(), Failed>)
where
    F: Future<Output = Result<(), Failed>>,
{
    let (mut succeeded, mut batch) = (0, 1);
    while succeeded < count {
        let size = batch.min(count - succeeded);
        let outcomes = join_all((0..size).map(|_| one())).await;
        succeeded += outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        if let Err(failed) = outcomes.into_iter().collect::<Result<(), Failed>>() {
            return (succeeded, Err(failed));
        }
        batch *= 2;
    }
    (succeeded, Ok(()))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn creation_starts_slowly_and_stops_at_the_first_bad_batch() {
        let calls = RefCell::new(0);
        let calls_failing = |fail_from: usize| {
            let calls = &calls;
            move || async move {
                *calls.borrow_mut() += 1;
                if *calls.borrow() > fail_from { Err(Failed::Because("quota".into())) } else { Ok(()) }
            }
        };
        let (created, outcome) = create(10, calls_failing(usize::MAX)).await;
        assert!(outcome.is_ok());
        assert_eq!((created, calls.replace(0)), (10, 10));
        let (created, outcome) = create(10, calls_failing(0)).await;
        assert!(outcome.is_err());
        assert_eq!((created, calls.replace(0)), (0, 1), "one request was enough to see that nothing works");
        let (created, _) = create(10, calls_failing(4)).await;
        assert_eq!((created, calls.replace(0)), (4, 7), "1 + 2 went well, 1 of 4 too");
    }
}
