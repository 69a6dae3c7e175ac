//! SQLite's file interface with four operations replaced.

#![expect(unsafe_code, reason = "SQLite's file interface is a table of C functions")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, Once, PoisonError};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

use crate::fault::{How, Operation, on};
use crate::power;

/// A file interface, and the one that it was copied from.
#[repr(C)]
struct Vfs {
    ours: sqlite3_vfs,
    original: *mut sqlite3_vfs,
}

/// The functions of a kind of file, and those that they were copied from.
#[repr(C)]
struct Methods {
    ours: sqlite3_io_methods,
    original: &'static sqlite3_io_methods,
}

/// SQLite has few kinds of files, and their functions live for ever.
static KINDS: Mutex<Vec<&'static Methods>> = Mutex::new(Vec::new());

/// Makes ours the default.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    // SAFETY: `sqlite3_vfs_find` returns a valid table that lives for ever, or null; a table is plain data, so a copy is as valid; the
    // copy is leaked, as `sqlite3_vfs_register` demands, and registered once.
    ONCE.call_once(|| unsafe {
        assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK, "SQLite cannot be initialised");
        let original = ffi::sqlite3_vfs_find(ptr::null());
        assert!(!original.is_null(), "SQLite has a file interface");
        let ours = sqlite3_vfs { zName: c"faulty".as_ptr(), pNext: ptr::null_mut(), xOpen: Some(open), ..*original };
        let vfs = Box::leak(Box::new(Vfs { ours, original }));
        let registered = ffi::sqlite3_vfs_register(&raw mut vfs.ours, 1);
        assert_eq!(registered, ffi::SQLITE_OK, "the faulty disk cannot be registered");
    });
}

/// Opens as the original does; the file's functions are ours then.
unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls this with the table that `install` has registered, which is the first field of a `Vfs`, with a file that
    // has the room that the original asked for, and with no name or one that ends with a NUL. The original is called as SQLite would call it.
    unsafe {
        let original = (*vfs.cast::<Vfs>()).original;
        let Some(open) = (*original).xOpen else { return ffi::SQLITE_CANTOPEN };
        let result = open(original, name, file, flags, flags_out);
        if result == ffi::SQLITE_OK {
            power::opened(file.addr(), (!name.is_null()).then(|| CStr::from_ptr(name)));
        }
        if let Some(methods) = (*file).pMethods.as_ref() {
            (*file).pMethods = &raw const replaced(methods).ours;
        }
        result
    }
}

fn replaced(original: &'static sqlite3_io_methods) -> &'static Methods {
    let mut kinds = KINDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kinds.iter().find(|known| ptr::eq(known.original, original)) {
        return known;
    }
    let ours = sqlite3_io_methods {
        xRead: Some(read),
        xWrite: Some(write),
        xSync: Some(sync),
        xTruncate: Some(truncate),
        ..*original
    };
    let methods = Box::leak(Box::new(Methods { ours, original }));
    kinds.push(methods);
    methods
}

/// # Safety
/// `file` was opened by [`open`].
unsafe fn original(file: *mut sqlite3_file) -> &'static sqlite3_io_methods {
    // SAFETY: `open` has put there the first field of a `Methods`, which lives for ever.
    unsafe { (*(*file).pMethods.cast::<Methods>()).original }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, into: *mut c_void, bytes: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls this with a file that `open` has opened and with room for `bytes` bytes at `into`. The original is called as SQLite
    // would call it.
    unsafe {
        let Some(read) = original(file).xRead else { return ffi::SQLITE_IOERR_READ };
        match on(Operation::Read, || false) {
            None => read(file, into, bytes, at),
            Some(How::Io | How::Full | How::Lie) => ffi::SQLITE_IOERR_READ,
        }
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, bytes: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls this with a file that `open` has opened and with `bytes` bytes at `from`. The originals are called as
    // SQLite would call them, with no more bytes.
    unsafe {
        let original = original(file);
        let grows = || {
            let mut size = 0;
            let sized = original.xFileSize.is_some_and(|size_of| size_of(file, &raw mut size) == ffi::SQLITE_OK);
            sized && at + sqlite3_int64::from(bytes) > size
        };
        let Some(write) = original.xWrite else { return ffi::SQLITE_IOERR_WRITE };
        match on(Operation::Write, grows) {
            None => write(file, from, bytes, at),
            Some(How::Io) => {
                // Whether that much succeeds makes no difference to who is told that it failed.
                let _ = write(file, from, bytes / 2, at);
                ffi::SQLITE_IOERR_WRITE
            }
            Some(How::Full) => ffi::SQLITE_FULL,
            Some(How::Lie) => ffi::SQLITE_OK,
        }
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: as in `write`.
    unsafe {
        let Some(sync) = original(file).xSync else { return ffi::SQLITE_IOERR_FSYNC };
        match on(Operation::Sync, || false) {
            None => {
                let result = sync(file, flags);
                if result == ffi::SQLITE_OK {
                    power::synced(file.addr());
                }
                result
            }
            Some(How::Io | How::Full) => ffi::SQLITE_IOERR_FSYNC,
            Some(How::Lie) => ffi::SQLITE_OK,
        }
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: as in `write`.
    unsafe {
        let Some(truncate) = original(file).xTruncate else { return ffi::SQLITE_IOERR_TRUNCATE };
        match on(Operation::Truncate, || false) {
            None => truncate(file, size),
            Some(How::Io | How::Full) => ffi::SQLITE_IOERR_TRUNCATE,
            Some(How::Lie) => ffi::SQLITE_OK,
        }
    }
}
