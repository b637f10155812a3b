//! The list of a face: each line is a path with its methods, and each method a handler with what the document says of it.
//! Router and document are made of the same lines, so neither can know a route that the other does not.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use utoipa::openapi::HttpMethod;

use super::openapi::Entry;
use crate::app::App;

/// Routes of one face or of several.
#[derive(Default)]
pub struct Routes {
    router: Router<App>,
    entries: Vec<Documented>,
}

/// One method of one path, as the document has it.
pub struct Documented {
    /// As OpenAPI writes it, and the router too but for `{*rest}`, a part that may hold slashes.
    pub path: String,
    /// The method.
    pub method: HttpMethod,
    /// What is said of it.
    pub entry: Entry,
}

/// One method of a path.
pub struct Endpoint {
    method: HttpMethod,
    handler: MethodRouter<App>,
    entry: Entry,
}

impl Routes {
    /// Adds a path with its methods.
    pub fn route<const N: usize>(mut self, path: &'static str, endpoints: [Endpoint; N]) -> Self {
        let mut methods = MethodRouter::new();
        for Endpoint { method, handler, entry } in endpoints {
            methods = methods.merge(handler);
            self.entries.push(Documented { path: path.replace("{*", "{"), method, entry });
        }
        self.router = self.router.route(path, methods);
        self
    }

    /// The routes of another face behind these.
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.entries.extend(other.entries);
        self
    }

    /// What answers.
    pub fn into_router(self) -> Router<App> {
        self.router
    }

    /// What is documented.
    pub fn into_entries(self) -> Vec<Documented> {
        self.entries
    }
}

/// `GET`, and with it `HEAD`.
pub fn get<H: Handler<T, App>, T: 'static>(handler: H, entry: Entry) -> Endpoint {
    Endpoint { method: HttpMethod::Get, handler: on(MethodFilter::GET, handler), entry }
}

/// `POST`
pub fn post<H: Handler<T, App>, T: 'static>(handler: H, entry: Entry) -> Endpoint {
    Endpoint { method: HttpMethod::Post, handler: on(MethodFilter::POST, handler), entry }
}

/// `PATCH`
pub fn patch<H: Handler<T, App>, T: 'static>(handler: H, entry: Entry) -> Endpoint {
    Endpoint { method: HttpMethod::Patch, handler: on(MethodFilter::PATCH, handler), entry }
}

/// `DELETE`
pub fn delete<H: Handler<T, App>, T: 'static>(handler: H, entry: Entry) -> Endpoint {
    Endpoint { method: HttpMethod::Delete, handler: on(MethodFilter::DELETE, handler), entry }
}
