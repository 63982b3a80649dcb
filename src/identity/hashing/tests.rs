use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;

use tokio::sync::oneshot;

use super::{HashPool, Job, PoolError, Verdict};
use crate::identity::password::{self, Argon2Params, PasswordHash, Workspace};
use crate::secret::Secret;

const SMALL: Argon2Params = Argon2Params { memory_kib: 8, passes: 1, lanes: 1 };

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Hands in the job of a call, which stays unfinished.
fn begin<T>(call: &mut Pin<Box<impl Future<Output = T>>>) {
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// Occupies one thread of the pool until the sender is dropped.
fn occupy(pool: &HashPool) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel();
    pool.submit(Job::Hold(released)).unwrap();
    wait_until(|| pool.shared.queue().waiting.is_empty());
    release
}

fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn tells_right_from_wrong_and_nobody() {
    let pool = HashPool::new(2, 10, SMALL).unwrap();
    run(async {
        let hash = pool.hash(secret("correct horse")).await.unwrap();
        assert!(!password::needs_rehash(&hash, SMALL));
        let verdict = |hash, text| pool.verify(hash, secret(text));
        assert_eq!(verdict(Some(hash.clone()), "correct horse").await, Ok(Verdict::Match));
        assert_eq!(verdict(Some(hash.clone()), "battery staple").await, Ok(Verdict::Mismatch));
        assert_eq!(verdict(None, "correct horse").await, Ok(Verdict::Mismatch));
        let broken = PasswordHash::from_stored("$argon2id$v=19$m=4194304,t=1,p=1".into());
        assert_eq!(verdict(Some(broken), "correct horse").await, Ok(Verdict::Mismatch));
    });
    let hash = pool.hash_blocking(secret("battery staple")).unwrap();
    assert_eq!(password::verify(&hash, &secret("battery staple")), Ok(true));
}

/// SECURITY L1: whatever one kind of hash left behind would make the next one faster.
#[test]
fn memory_is_kept_only_while_all_hashes_are_ours() {
    let pool = HashPool::new(1, 1, SMALL).unwrap();
    let ours = pool.hash_blocking(secret("battery staple")).unwrap();
    let mut workspace = Workspace::default();
    let kept_after = |hash: Option<&PasswordHash>, workspace: &mut Workspace| {
        assert_eq!(pool.shared.verify(hash, &secret("wrong"), workspace), Verdict::Mismatch);
        workspace.is_kept()
    };
    assert!(kept_after(None, &mut workspace) && kept_after(Some(&ours), &mut workspace));
    drop(pool.works().add([Argon2Params { memory_kib: 16, ..SMALL }.into()]));
    assert!(!kept_after(None, &mut workspace) && !kept_after(Some(&ours), &mut workspace));
}

#[test]
fn one_more_than_run_and_wait_is_turned_away_at_once() {
    let pool = HashPool::new(2, 2, SMALL).unwrap();
    let held = [occupy(&pool), occupy(&pool)];
    run(async {
        let mut waiting = [(); 2].map(|()| Box::pin(pool.verify(None, secret("x"))));
        waiting.iter_mut().for_each(begin);
        assert_eq!(pool.depth(), 4);
        assert_eq!(pool.verify(None, secret("x")).await, Err(PoolError::Busy));
        assert_eq!(pool.hash(secret("x")).await, Err(PoolError::Busy));
        drop(held);
        for call in waiting {
            assert_eq!(call.await, Ok(Verdict::Mismatch));
        }
    });
    wait_until(|| pool.depth() == 0);
    assert_eq!(run(pool.verify(None, secret("x"))), Ok(Verdict::Mismatch));
}

#[test]
fn a_pool_without_a_queue_serves_as_many_as_it_has_threads() {
    let pool = HashPool::new(1, 0, SMALL).unwrap();
    assert_eq!(run(pool.verify(None, secret("x"))), Ok(Verdict::Mismatch));
    wait_until(|| pool.depth() == 0);
    let held = occupy(&pool);
    assert_eq!(run(pool.verify(None, secret("x"))), Err(PoolError::Busy));
    drop(held);
}

#[test]
fn a_caller_that_goes_away_does_not_free_its_place_early() {
    let pool = HashPool::new(1, 1, SMALL).unwrap();
    let held = occupy(&pool);
    let mut call = Box::pin(pool.verify(None, secret("x")));
    begin(&mut call);
    drop(call);
    assert_eq!(pool.depth(), 2);
    assert_eq!(run(pool.verify(None, secret("x"))), Err(PoolError::Busy));
    drop(held);
    wait_until(|| pool.depth() == 0);
}

#[test]
fn what_was_abandoned_before_it_began_is_not_computed() {
    let pool = HashPool::new(1, 2, SMALL).unwrap();
    let held = occupy(&pool);
    let mut abandoned = Box::pin(pool.verify(None, secret("abandoned")));
    begin(&mut abandoned);
    let mut wanted = Box::pin(pool.verify(None, secret("wanted")));
    begin(&mut wanted);
    drop(abandoned);
    // This thread takes the next job in the place of the one that is held.
    let next = pool.shared.next(&mut Workspace::default());
    assert!(matches!(next, Some(Job::Verify { password, .. }) if password.expose() == "wanted"));
    assert_eq!(pool.depth(), 2);
    drop(held);
}

#[test]
fn dropping_the_pool_ends_its_threads_and_tells_those_who_wait() {
    let pool = HashPool::new(2, 10, SMALL).unwrap();
    let held = [occupy(&pool), occupy(&pool)];
    let (answer, waiting) = oneshot::channel();
    pool.submit(Job::Verify { hash: None, password: secret("x"), answer }).unwrap();
    let shared = std::sync::Arc::downgrade(&pool.shared);
    let dropping = thread::spawn(move || drop(pool));
    assert!(waiting.blocking_recv().is_err(), "told before the running jobs have ended");
    assert!(shared.upgrade().is_some());
    drop(held);
    dropping.join().unwrap();
    assert!(shared.upgrade().is_none(), "no thread is left that could hold it");
}

#[cfg(target_os = "linux")]
#[test]
fn its_threads_give_way_and_the_others_do_not() {
    let before = rustix::process::getpriority_process(None).unwrap();
    let pool = HashPool::new(1, 0, SMALL).unwrap();
    run(pool.verify(None, secret("x"))).unwrap();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    // Other tests have pools too, so there may be several threads of the name, some of which have not begun.
    let niceness = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.join("stat")).ok()?;
        let (name, fields) = stat.rsplit_once(')')?;
        // proc(5): the niceness is field 19; the name is field 2.
        name.ends_with("(portcullis-hash").then(|| fields.split_whitespace().nth(16)?.parse::<i32>().ok())?
    });
    assert_eq!(niceness.max(), Some((before + super::NICENESS).min(19)));
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), before);
}
