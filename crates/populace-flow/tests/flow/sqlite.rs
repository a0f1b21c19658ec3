//! Identities in a SQLite file keep to the contract.

use crate::identity::{Place, Stores, identity_stores_keep_to_the_contract};
use populace_flow::identity::{IdentityDatabase, IdentityStore};

impl Place for tempfile::TempDir {
    fn open(&self, merge_at: Option<f64>) -> Box<dyn IdentityStore> {
        Box::new(IdentityDatabase::open(self.path(), merge_at).unwrap())
    }
}

#[test]
fn identities_in_a_file() {
    identity_stores_keep_to_the_contract(&Stores { new: &|_| Box::new(tempfile::tempdir().unwrap()), every: 1 });
}
