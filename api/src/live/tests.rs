use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Counts how often it was opened and how many are open. Every second look fails: a listener that is late misses frames.
struct Counted {
    open: Arc<AtomicUsize>,
    looks: usize,
}

impl Eye for Counted {
    fn look(&mut self) -> BoxFuture<'_, Result<String, QueryError>> {
        self.looks += 1;
        let looks = self.looks;
        Box::pin(async move {
            if looks.is_multiple_of(2) { Err(QueryError::Execution("dust".into())) } else { Ok(looks.to_string()) }
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn live() -> (Live, Arc<AtomicUsize>) {
    let open = Arc::new(AtomicUsize::new(0));
    let eyes = Arc::clone(&open);
    let opener = move || -> Box<dyn Eye> {
        eyes.fetch_add(1, Ordering::SeqCst);
        Box::new(Counted { open: Arc::clone(&eyes), looks: 0 })
    };
    (Live::over(Handle::current(), Duration::from_millis(1), Box::new(opener)), open)
}

async fn rested(open: &AtomicUsize) {
    let rested = async {
        while open.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, rested).await.expect("the task rests");
}

#[tokio::test]
async fn one_task_serves_all_listeners_and_rests_after_the_last() {
    let (live, open) = live();
    assert_eq!(open.load(Ordering::SeqCst), 0);
    let mut first = Box::pin(live.listen());
    let mut second = Box::pin(live.listen());
    assert!(first.next().await.is_some() && second.next().await.is_some());
    assert_eq!(open.load(Ordering::SeqCst), 1);

    drop(first);
    assert!(second.next().await.is_some());
    drop(second);
    rested(&open).await;

    let mut third = Box::pin(live.listen());
    assert!(third.next().await.is_some());
    assert_eq!(open.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failed_look_is_told_and_the_feed_goes_on() {
    let (live, _open) = live();
    let mut frames = Box::pin(live.listen());
    let mut seen = (false, false);
    while seen != (true, true) {
        let frame = timeout(PATIENCE, frames.next()).await.expect("a frame in time");
        match frame.expect("the feed goes on") {
            Frame::Trouble(json) => {
                assert_eq!(&*json, r#"{"message":"dust"}"#);
                seen.0 = true;
            }
            Frame::Plant(json) => seen.1 |= json.parse::<usize>().expect("a number") > 2,
        }
    }
}
