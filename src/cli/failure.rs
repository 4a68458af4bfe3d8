//! Why a command failed, and the exit code that says so.

use crate::app::AppError;
use crate::settings::SettingsError;

/// Exit codes of commands.
pub(super) mod code {
    /// Failed.
    pub(in crate::cli) const FAILED: u8 = 1;
    /// Wrong usage or settings.
    pub(in crate::cli) const USAGE: u8 = 2;
    /// Not allowed: 401, 403.
    pub(in crate::cli) const NOT_ALLOWED: u8 = 3;
    /// Not there: 404, 410.
    pub(in crate::cli) const NOT_THERE: u8 = 4;
    /// A conflict: 409, 412, 428.
    pub(in crate::cli) const CONFLICT: u8 = 5;
    /// The server or its database cannot be reached: 503.
    pub(in crate::cli) const UNREACHABLE: u8 = 6;
}

/// A failed command.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    /// Empty if everything was said already.
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            code: code::FAILED,
            message: message.into(),
        }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            code: code::USAGE,
            message: message.into(),
        }
    }

    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self {
            code: code::UNREACHABLE,
            message: message.into(),
        }
    }

    /// The command has said what is wrong.
    pub(super) fn told() -> Self {
        Self {
            code: code::FAILED,
            message: String::new(),
        }
    }

    pub(super) fn not_allowed(message: impl Into<String>) -> Self {
        Self {
            code: code::NOT_ALLOWED,
            message: message.into(),
        }
    }

    /// From the status and the text of an answer.
    pub(super) fn of_status(status: u16, message: String) -> Self {
        let code = match status {
            401 | 403 => code::NOT_ALLOWED,
            404 | 410 => code::NOT_THERE,
            409 | 412 | 428 => code::CONFLICT,
            503 => code::UNREACHABLE,
            _ => code::FAILED,
        };
        Self { code, message }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Settings(error) => error.into(),
            AppError::Failed(message) => Self::new(message),
        }
    }
}
