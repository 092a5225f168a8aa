//! The Secret Service of Linux and the BSDs, over D-Bus: gnome-keyring, KWallet, KeePassXC.
//!
//! What keyring's store does not tell is asked here over a connection of our own: whether the default collection is
//! locked. A locked one may hide its entries, and "there is no login" would be wrong then.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyring_core::{CredentialStore, Error};
use secret_service::blocking::SecretService as Service;
use secret_service::{EncryptionType, Error as ServiceError};
use zbus::DBusError;

use super::{Failure, FailureKind, Platform};

const START_ONE: &str = "start a Secret Service in this session (gnome-keyring, KWallet, KeePassXC), with \
                         DBUS_SESSION_BUS_ADDRESS naming its bus, or keep logins elsewhere";

/// The Secret Service on the session's bus.
#[derive(Default)]
pub(crate) struct SecretService {
    /// For what is asked about the collection. No secret goes over it, so it needs no encryption.
    control: Mutex<Option<Service<'static>>>,
}

impl SecretService {
    /// Asks the default collection something, over a new connection if the old one is of no use.
    fn ask<T>(&self, question: impl Fn(&Service<'static>) -> Result<T, ServiceError>) -> Result<T, Failure> {
        let mut control = self.control();
        if let Some(service) = control.as_ref() {
            match question(service).map_err(|error| of_service(&error)) {
                Err(failure) if matches!(failure.kind, FailureKind::Absent | FailureKind::Broken) => {}
                result => return result,
            }
        }
        *control = None;
        let service = Service::connect(EncryptionType::Plain).map_err(|error| of_service(&error))?;
        let answer = question(&service).map_err(|error| of_service(&error));
        *control = Some(service);
        answer
    }

    fn control(&self) -> MutexGuard<'_, Option<Service<'static>>> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Platform for SecretService {
    fn name(&self) -> &'static str {
        "Secret Service"
    }

    fn open(&self) -> Result<Arc<CredentialStore>, Error> {
        *self.control() = None;
        Ok(zbus_secret_service_keyring_store::Store::new()?)
    }

    fn modifiers<'a>(&self, label: &'a str) -> HashMap<&'static str, &'a str> {
        HashMap::from([("label", label)])
    }

    fn entries_of(&self, service: &str) -> HashMap<&'static str, String> {
        HashMap::from([("service", service.to_owned())])
    }

    fn failure(&self, error: &Error) -> Failure {
        let (Error::PlatformFailure(cause) | Error::NoStorageAccess(cause)) = error else {
            return Failure::common(error)
                .unwrap_or_else(|| Failure::new(FailureKind::Refused, "it failed for an unknown reason"));
        };
        match cause.downcast_ref::<ServiceError>() {
            Some(error) => of_service(error),
            None => Failure::new(FailureKind::Broken, cause.to_string()),
        }
    }

    fn is_gone(&self, error: &Error) -> bool {
        let (Error::PlatformFailure(cause) | Error::NoStorageAccess(cause)) = error else { return false };
        match cause.downcast_ref::<ServiceError>() {
            Some(ServiceError::Zbus(zbus::Error::MethodError(name, ..))) => names_nothing(name),
            Some(ServiceError::Zbus(zbus::Error::FDO(error))) => names_nothing(&error.name()),
            Some(ServiceError::ZbusFdo(error)) => names_nothing(&error.name()),
            _ => false,
        }
    }

    fn check(&self) -> Result<(), Failure> {
        match self.ask(|service| service.get_default_collection()?.is_locked())? {
            false => Ok(()),
            true => Err(Failure::new(
                FailureKind::Locked,
                "the default collection is locked: log in to the desktop, or unlock it in its own program",
            )),
        }
    }

    fn unlocked_just_now(&self) -> Result<bool, Failure> {
        self.ask(|service| {
            let collection = service.get_default_collection()?;
            if !collection.is_locked()? {
                return Ok(false);
            }
            collection.unlock()?;
            // Some services answer an unlocking that nobody allowed as if it had been.
            collection.ensure_unlocked()?;
            Ok(true)
        })
    }
}

fn of_service(error: &ServiceError) -> Failure {
    match error {
        ServiceError::Unavailable => {
            Failure::new(FailureKind::Absent, format!("this session has no D-Bus; {START_ONE}"))
        }
        // Only asking for the default collection gives this one.
        ServiceError::NoResult => Failure::new(
            FailureKind::Absent,
            "the Secret Service has no default collection: log in to the desktop once, or make one in its own \
             program (Passwords and Keys, KWalletManager, KeePassXC)",
        ),
        ServiceError::Locked | ServiceError::Prompt => Failure::new(
            FailureKind::Locked,
            "nobody unlocked it when it asked (it cannot ask where there is no screen): unlock it, for instance by \
             logging in to the desktop, and try again",
        ),
        ServiceError::Zbus(error) => of_bus(error),
        ServiceError::ZbusFdo(error) => of_standard_interface(error),
        other => Failure::new(FailureKind::Broken, other.to_string()),
    }
}

fn of_bus(error: &zbus::Error) -> Failure {
    match error {
        zbus::Error::InputOutput(cause) | zbus::Error::Connection(cause, _)
            if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
        {
            Failure::new(FailureKind::Absent, format!("D-Bus cannot be reached ({cause}); {START_ONE}"))
        }
        zbus::Error::Address(address) => {
            Failure::new(FailureKind::Absent, format!("D-Bus has no usable address ({address}); {START_ONE}"))
        }
        zbus::Error::MethodError(name, what, _) => of_name(name, what.as_deref()),
        zbus::Error::FDO(error) => of_standard_interface(error),
        other => Failure::new(FailureKind::Broken, other.to_string()),
    }
}

fn of_standard_interface(error: &zbus::fdo::Error) -> Failure {
    match error {
        zbus::fdo::Error::ZBus(error) => of_bus(error),
        other => of_name(&other.name(), other.description()),
    }
}

/// Whether an error of that name is about an object that is not there. Some services have no method at its path then.
fn names_nothing(name: &str) -> bool {
    matches!(
        name,
        "org.freedesktop.Secret.Error.NoSuchObject"
            | "org.freedesktop.DBus.Error.UnknownObject"
            | "org.freedesktop.DBus.Error.UnknownInterface"
            | "org.freedesktop.DBus.Error.UnknownMethod"
    )
}

/// By the name of an error that came over the bus.
fn of_name(name: &str, what: Option<&str>) -> Failure {
    let what = what.unwrap_or(name);
    match name {
        "org.freedesktop.DBus.Error.ServiceUnknown"
        | "org.freedesktop.DBus.Error.NameHasNoOwner"
        | "org.freedesktop.DBus.Error.Spawn.ServiceNotFound" => {
            Failure::new(FailureKind::Absent, format!("no Secret Service runs here ({what}); {START_ONE}"))
        }
        "org.freedesktop.Secret.Error.IsLocked" => {
            Failure::new(FailureKind::Locked, "it was locked meanwhile: unlock it and try again")
        }
        _ => Failure::new(FailureKind::Broken, format!("{what} ({name})")),
    }
}
