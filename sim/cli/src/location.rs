//! Where a hook's store is, and looking at it without changing anything.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hookproof_core::experiment::VariantSpec;
use hookproof_core::lineage::Lineage;
use hookproof_core::store::{Epoch, LineageId};
use hookproof_runtime::store::postgres::{self, Postgres};
use hookproof_runtime::store::sqlite::{Sqlite, View};
use hookproof_runtime::store::{Store, Stored};
use hookproof_sim::scenario::StoreChoice;
use tokio::runtime::Runtime;

use crate::exit::Failure;
use crate::runtime;

/// Where the store is.
pub(crate) enum Location {
    /// In a file.
    Sqlite(PathBuf),
    /// In a database.
    Postgres(postgres::Settings),
}

impl Location {
    /// What the hook's file at `file` names.
    pub(crate) fn of(choice: StoreChoice, file: &Path) -> Self {
        let folder = file.parent().unwrap_or(Path::new(""));
        match choice {
            StoreChoice::Sqlite { path } => Self::Sqlite(folder.join(path)),
            StoreChoice::Postgres { url, schema, ca_file } => {
                let mut settings = postgres::Settings::new(url.reveal());
                settings.schema = schema;
                settings.ca_file = ca_file.map(|named| folder.join(named));
                // One more than for commits alone, so that reads hold up none.
                settings.connections += 1;
                Self::Postgres(settings)
            }
        }
    }

    /// Opens it, with the names of the `variants` for readers.
    pub(crate) async fn open(&self, variants: &[VariantSpec]) -> Result<Store, Failure> {
        let names = variants.iter().map(|variant| variant.name.as_str());
        match self {
            Self::Sqlite(path) => {
                Sqlite::open(path, names).map(Store::Sqlite).map_err(|error| Failure::bad_input(error.to_string()))
            }
            Self::Postgres(settings) => {
                let opened = Postgres::open(settings, names).await;
                opened
                    .map(|store| Store::Postgres(Arc::new(store)))
                    .map_err(|error| Failure::bad_input(error.to_string()))
            }
        }
    }

    /// Whether it could be there, as far as can be said without opening it.
    ///
    /// # Errors
    /// A database's connection string, schema or certificates can't be used.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(settings) => settings.check().map_err(|error| Failure::bad_input(error.to_string())),
        }
    }

    /// Looks at it, which must be there and of `lineage`, or nobody's yet.
    pub(crate) fn look(&self, lineage: &Lineage) -> Result<Look, Failure> {
        let look = match self {
            Self::Sqlite(path) => {
                let view = View::open(path).map_err(|error| Failure::bad_input(error.to_string()))?;
                Look::Sqlite { view, path: path.clone() }
            }
            Self::Postgres(settings) => {
                let runtime = runtime::of_this_thread()?;
                let store = runtime.block_on(Postgres::open_existing(settings));
                let store = store.map_err(|error| Failure::bad_input(error.to_string()))?;
                Look::Postgres { store: Box::new(store), runtime }
            }
        };
        if look.lineage().map_err(|why| self.unreadable(&why))?.is_some_and(|id| id != lineage.id()) {
            let remedy = "name the file with its namespace, lineage, hash and secret";
            return Err(Failure::bad_input(format!("{self} is the store of another experiment or secret: {remedy}")));
        }
        Ok(look)
    }

    /// What has come of a look that failed.
    pub(crate) fn unreadable(&self, why: &str) -> Failure {
        Failure::harness(format!("{self} can't be read: {why}"))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite {}", path.display()),
            Self::Postgres(settings) => write!(formatter, "postgres schema {}", settings.schema),
        }
    }
}

/// A store that is looked at; a hook may have it open.
pub(crate) enum Look {
    /// A file.
    Sqlite {
        /// Its content.
        view: View,
        /// Where it is.
        path: PathBuf,
    },
    /// A database.
    Postgres {
        /// Its connections.
        store: Box<Postgres>,
        /// What they run on.
        runtime: Runtime,
    },
}

impl Look {
    fn lineage(&self) -> Result<Option<LineageId>, String> {
        match self {
            Self::Sqlite { view, .. } => view.lineage().map_err(|error| error.to_string()),
            Self::Postgres { store, runtime } => runtime.block_on(store.lineage()).map_err(|error| error.to_string()),
        }
    }

    /// Shows every user's record, in the order of their ids.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn for_each(&self, show: impl FnMut(Stored)) -> Result<(), String> {
        match self {
            Self::Sqlite { view, .. } => view.for_each(show).map_err(|error| error.to_string()),
            Self::Postgres { store, runtime } => {
                runtime.block_on(store.for_each(show)).map_err(|error| error.to_string())
            }
        }
    }

    /// Begins an epoch in it. Nobody else may have a file open.
    ///
    /// # Errors
    /// What the store says; nothing was changed then, unless a database's answer was lost.
    pub(crate) fn begin_epoch(self) -> Result<Epoch, String> {
        match self {
            Self::Sqlite { view, path } => {
                drop(view);
                Sqlite::begin_epoch(&path).map_err(|error| error.to_string())
            }
            Self::Postgres { store, runtime } => {
                runtime.block_on(store.begin_epoch(None)).map_err(|error| error.to_string())
            }
        }
    }
}
