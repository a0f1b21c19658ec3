//! Which handler answers at which path, once for the routers and for their description.

use super::app::App;
use super::call::open;
use super::problem::problem;
use super::reply::Reply;
use super::{api, events, features, identity, operation};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use std::sync::{Arc, LazyLock};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

type Routes = OpenApiRouter<Arc<App>>;

/// The routes at the connector's address.
pub(super) fn connector(app: Arc<App>) -> Router {
    served(events_and_persons(), app)
}

/// The routes at the feature service's address.
pub(super) fn features(app: Arc<App>) -> Router {
    served(features_of_persons(), app)
}

fn events_and_persons() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(events::generate))
        .routes(routes!(events::pattern))
        .routes(routes!(events::synthetic))
        .routes(routes!(events::webhook))
        .routes(routes!(events::described_webhook))
        .routes(routes!(identity::resolve))
        .routes(routes!(identity::link))
        .routes(routes!(identity::person, identity::erase))
}

fn features_of_persons() -> Routes {
    OpenApiRouter::new().routes(routes!(features::compute)).routes(routes!(features::features))
}

fn operation() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(operation::health))
        .routes(routes!(operation::ready))
        .routes(routes!(operation::version))
        .routes(routes!(operation::figures))
}

fn served(routes: Routes, app: Arc<App>) -> Router {
    let (routes, _) = routes.merge(operation()).split_for_parts();
    routes
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "Not found", "there is no such path; /scalar/v1 shows those there are") })
        .method_not_allowed_fallback(|| async {
            problem(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", "this path takes another method; /scalar/v1 shows which")
        })
        .route("/openapi.json", get(openapi))
        .route("/scalar/v1", get(scalar))
        .route("/swagger", get(scalar))
        .route("/swagger/index.html", get(scalar))
        .route("/swagger/v1/swagger.json", get(openapi))
        .with_state(app)
}

/// The description of the services, as `OpenAPI` 3.1 and as a page.
static DESCRIPTION: LazyLock<[Reply; 2]> = LazyLock::new(|| {
    let document = api::document(events_and_persons().merge(features_of_persons()).merge(operation()).into_openapi());
    [Reply::json(StatusCode::OK, &document), Reply::text("text/html; charset=utf-8", api::page(document))]
});

async fn openapi(State(app): State<Arc<App>>, request: Request) -> Response {
    open(app, "/openapi.json", request, || DESCRIPTION[0].clone()).await
}

/// To read and to try in a browser.
async fn scalar(State(app): State<Arc<App>>, request: Request) -> Response {
    open(app, "/scalar/v1", request, || DESCRIPTION[1].clone()).await
}
