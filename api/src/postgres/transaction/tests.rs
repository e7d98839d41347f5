use super::*;

fn open() -> Transaction {
    let mut transaction = Transaction::default();
    transaction.begin();
    transaction
}

#[test]
fn a_failed_transaction_refuses_until_its_end() {
    let mut transaction = open();
    transaction.fail();
    assert_eq!(transaction.status(), TransactionStatus::Error);
    assert_eq!(transaction.check().expect_err("refused").sqlstate, sqlstate::IN_FAILED_SQL_TRANSACTION);
    let completed = transaction.commit();
    assert_eq!((completed.tag, completed.ended), ("ROLLBACK", Some(Ended::RolledBack)));
    assert_eq!(transaction.check(), Ok(()));
}

#[test]
fn a_failure_outside_a_transaction_changes_nothing() {
    let mut transaction = Transaction::default();
    transaction.fail();
    assert_eq!(transaction.status(), TransactionStatus::Idle);
}

#[test]
fn a_savepoint_heals() {
    let mut transaction = open();
    transaction.savepoint("a".to_owned()).expect("in a transaction");
    transaction.savepoint("b".to_owned()).expect("in a transaction");
    transaction.fail();
    transaction.rollback_to("a").expect("it exists");
    assert_eq!(transaction.status(), TransactionStatus::Transaction);
    assert_eq!(transaction.release("b").expect_err("gone").sqlstate, sqlstate::INVALID_SAVEPOINT);
    transaction.release("a").expect("it stayed");
    assert_eq!(transaction.rollback_to("a").expect_err("released").sqlstate, sqlstate::INVALID_SAVEPOINT);
}

#[test]
fn a_savepoint_needs_a_transaction() {
    let failure = Transaction::default().savepoint("a".to_owned()).expect_err("no transaction");
    assert_eq!(failure.sqlstate, sqlstate::NO_ACTIVE_SQL_TRANSACTION);
}

#[test]
fn needless_beginnings_and_ends_warn() {
    let mut transaction = open();
    assert!(transaction.begin().warning.is_some());
    assert_eq!(transaction.commit().warning, None);
    assert!(transaction.commit().warning.is_some());
    assert!(transaction.rollback().warning.is_some());
}
