use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, Resource, ResourceContents, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};

#[derive(Clone)]
struct Pages(Arc<BTreeMap<String, String>>);

/// Serves until it is killed.
pub(crate) async fn run(pages: BTreeMap<String, String>) -> Result<()> {
    let pages = Pages(Arc::new(pages));
    let sessions = Arc::new(LocalSessionManager::default());
    let service =
        StreamableHttpService::new(move || Ok(pages.clone()), sessions, StreamableHttpServerConfig::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", json!({ "url": format!("http://{}/mcp", listener.local_addr()?) }));
    axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await?;
    Ok(())
}

impl ServerHandler for Pages {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("pages", "1"))
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] });
        let schema = schema.as_object().cloned().unwrap_or_default();
        Ok(ListToolsResult::with_all_items(vec![Tool::new("read", "Reads a page by its name.", Arc::new(schema))]))
    }

    async fn call_tool(
        &self,
        asked: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if asked.name != "read" {
            return Err(ErrorData::invalid_params(format!("no such tool: {}", asked.name), None));
        }
        let name = asked.arguments.as_ref().and_then(|arguments| arguments.get("name")).and_then(Value::as_str);
        let result = match name.and_then(|name| self.0.get(name)) {
            Some(page) => CallToolResult::success(vec![ContentBlock::text(page)]),
            None => CallToolResult::error(vec![ContentBlock::text("no such page")]),
        };
        Ok(result.into())
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let pages = self.0.keys().map(|name| Resource::new(format!("page:///{name}"), name.clone()));
        Ok(ListResourcesResult::with_all_items(pages.collect()))
    }

    async fn read_resource(
        &self,
        asked: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match asked.uri.strip_prefix("page:///").and_then(|name| self.0.get(name)) {
            Some(page) => Ok(ReadResourceResult::new(vec![ResourceContents::text(page, asked.uri)]).into()),
            None => Err(ErrorData::resource_not_found("no such page", None)),
        }
    }
}
