//! Where rows stand in their table.
//!
//! A row that a transaction has locked stays where it is until that transaction ends or changes it: nobody else can change it, and the server moves none.
//! So it is found again without an index.

use std::error::Error;

use bytes::BytesMut;
use hookproof_core::identity::UserHandle;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::super::columns::place;

/// A `ctid`, as the server sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tid([u8; 6]);

impl<'a> FromSql<'a> for Tid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TID
    }
}

impl ToSql for Tid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TID
    }

    to_sql_checked!();
}

/// The rows that a commit has locked and not changed.
#[derive(Debug, Default)]
pub(super) struct Locked(Vec<Option<Tid>>);

impl Locked {
    pub(super) fn put(&mut self, place: usize, tid: Tid) {
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        self.0[place] = Some(tid);
    }

    pub(super) fn of(&self, user: UserHandle) -> Option<Tid> {
        self.0.get(place(user)).copied().flatten()
    }
}
