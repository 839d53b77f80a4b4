use anyhow::{Context as _, Result, bail};
use rmcp::model::{
    CallToolRequestParams, ClientConfig, GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams,
};
use rmcp::service::RunningService;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, RoleClient, ServiceError};
use serde_json::{Map, Value, json};

type Client = RunningService<RoleClient, ClientConfig>;

/// Connects, takes the steps of a plan in their order, and prints what was seen.
pub(crate) async fn run(plan: &Value) -> Result<()> {
    let client = connect(plan).await?;
    let (version, server) = {
        let info = client.peer_info().context("a connected client knows its server")?;
        let server = info.server_info.as_ref().map(|server| server.name.clone());
        (info.protocol_version.to_string(), server)
    };
    let mut seen = Map::new();
    for (name, step) in plan["steps"].as_object().context("a plan has steps")? {
        let step = step.as_array().context("a step is a list")?;
        let answer = match take(&client, step).await {
            Ok(answer) => answer,
            Err(error) => match error.downcast::<ServiceError>()? {
                ServiceError::McpError(error) => json!({ "code": error.code.0, "text": error.message }),
                other => bail!(other),
            },
        };
        seen.insert(name.clone(), answer);
    }
    println!("{}", json!({ "version": version, "server": server, "steps": seen }));
    client.cancel().await?;
    Ok(())
}

async fn connect(plan: &Value) -> Result<Client> {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    let mode = match plan["mode"].as_str() {
        Some("legacy") => ClientLifecycleMode::Initialize,
        Some("auto") => ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
        Some("modern") => ClientLifecycleMode::Discover { preferred_versions },
        other => bail!("this client knows no {other:?}"),
    };
    let client = ClientConfig::default();
    if let Some(command) = plan["command"].as_array() {
        let mut words = command.iter().filter_map(Value::as_str);
        let mut command = tokio::process::Command::new(words.next().context("a command has a program")?);
        command.args(words);
        return Ok(client.serve_with_lifecycle(TokioChildProcess::new(command)?, mode).await?);
    }
    let text = |name: &str| plan[name].as_str().with_context(|| format!("a plan has {name}"));
    let config = StreamableHttpClientTransportConfig::with_uri(text("url")?).auth_header(text("token")?);
    Ok(client.serve_with_lifecycle(StreamableHttpClientTransport::from_config(config), mode).await?)
}

async fn take(client: &Client, step: &[Value]) -> Result<Value> {
    let text = |at: usize| step.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let object = |at: usize| step.get(at).and_then(Value::as_object).cloned().unwrap_or_default();
    Ok(match text(0).as_str() {
        "tools" => {
            let tools = client.list_all_tools().await?;
            names(tools.into_iter().map(|tool| tool.name.into_owned()))
        }
        "resources" => {
            let resources = client.list_all_resources().await?;
            names(resources.into_iter().map(|resource| resource.uri.clone()))
        }
        "read" => {
            let answer = client.read_resource(ReadResourceRequestParams::new(text(1))).await?;
            json!({ "text": texts(&serde_json::to_value(answer.contents)?) })
        }
        "prompt" => {
            let asked = GetPromptRequestParams::new(text(1)).with_arguments(object(2));
            let answer = client.get_prompt(asked).await?;
            let content: Vec<Value> =
                answer.messages.iter().map(|one| serde_json::to_value(&one.content)).collect::<Result<_, _>>()?;
            json!({ "text": texts(&json!(content)) })
        }
        "call" => {
            let asked = CallToolRequestParams::new(text(1)).with_arguments(object(2));
            let answer = client.call_tool(asked).await?;
            json!({
                "error": answer.is_error.unwrap_or(false),
                "text": texts(&serde_json::to_value(&answer.content)?),
                "structured": answer.structured_content,
            })
        }
        other => bail!("no such step: {other}"),
    })
}

fn names(names: impl Iterator<Item = String>) -> Value {
    let mut names: Vec<String> = names.collect();
    names.sort();
    json!({ "names": names })
}

/// The text of content blocks, one below the other.
fn texts(blocks: &Value) -> String {
    let blocks = blocks.as_array().into_iter().flatten();
    let texts: Vec<&str> = blocks.map(|block| block["text"].as_str().unwrap_or_default()).collect();
    texts.join("\n")
}
