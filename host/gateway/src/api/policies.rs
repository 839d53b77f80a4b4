use hyper::StatusCode;
use portcullis_model::{Digest, Document, Kind, Value};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Api, Context, json_value, query};
use crate::http::{ApiError, Reply};
use crate::ports::{OperatorIdentity, Policies, PolicyChange, PolicyError, PolicyView};

/// Most bytes of the policies of one plugin.
pub(super) const MAX_POLICIES: usize = 256 * 1024;

#[derive(Serialize)]
struct Page {
    policies: Vec<PolicyView>,
}

impl Api {
    pub(super) async fn policies(&self, context: &Context, query: &str) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let policies = self.policies_of(reader(context)?).await?;
        Ok(json_value(StatusCode::OK, &Page { policies }))
    }

    pub(super) async fn policy(
        &self,
        context: &Context,
        query: &str,
        plugin: Option<String>,
    ) -> Result<Reply, ApiError> {
        let [] = query::read(query, [])?;
        let all = self.policies_of(reader(context)?).await?;
        let one = all.into_iter().find(|view| Some(&*view.plugin) == plugin.as_deref());
        Ok(json_value(StatusCode::OK, &one.ok_or_else(|| refused(PolicyError::Unknown))?))
    }

    pub(super) async fn replace_policy(
        &self,
        operator: &OperatorIdentity,
        plugin: Option<String>,
        body: Vec<u8>,
    ) -> Result<Reply, ApiError> {
        let (policies, replaces) = read(body)?;
        let change =
            PolicyChange { operator: operator.clone(), plugin: plugin.unwrap_or_default(), policies, replaces };
        let view = self.editable()?.replace(change).await.map_err(refused)?;
        Ok(json_value(StatusCode::OK, &view))
    }

    async fn policies_of(&self, operator: &OperatorIdentity) -> Result<Vec<PolicyView>, ApiError> {
        self.editable()?.list(&operator.tenant).await.map_err(refused)
    }

    fn editable(&self) -> Result<&dyn Policies, ApiError> {
        self.reload.policies().ok_or_else(|| refused(PolicyError::Unknown))
    }
}

fn reader(context: &Context) -> Result<&OperatorIdentity, ApiError> {
    let operator = context.caller.operator.as_ref();
    operator.ok_or_else(|| ApiError::forbidden("only operators see policies", "send the token of an operator"))
}

/// Who may replace policies: the same people who change pipelines.
pub(super) fn writer(context: &Context) -> Result<&OperatorIdentity, ApiError> {
    let operator = context.caller.operator.as_ref().filter(|operator| operator.admin);
    operator.ok_or_else(|| {
        let hint = "send the token of an operator with the role admin";
        ApiError::forbidden("only administrators replace policies", hint)
    })
}

/// `{"policies": […] or null, "replaces"?: "sha256:…"}`, nothing else.
fn read(body: Vec<u8>) -> Result<(Option<Box<RawValue>>, Option<Digest>), ApiError> {
    const FORM: &str = "send {\"policies\":[…]}, or null for those of the configuration";
    let document = Document::parse(body);
    let document = document.map_err(|error| ApiError::malformed(format!("not acceptable JSON: {error}"), FORM))?;
    let root = document.root();
    if root.kind() != Kind::Object {
        return Err(ApiError::malformed("the body must be an object", FORM));
    }
    let (mut policies, mut replaces) = (None, None);
    for field in root.members() {
        match (field.name().unwrap_or_default(), field.kind()) {
            ("policies", Kind::Null) => policies = Some(None),
            ("policies", Kind::Array) => policies = Some(RawValue::from_string(field.raw().to_owned()).ok()),
            ("replaces", Kind::String) => {
                let digest = Value::as_str(field).and_then(|text| text.parse().ok());
                replaces = Some(digest.ok_or_else(|| ApiError::malformed("replaces is no digest", FORM))?);
            }
            ("policies" | "replaces", _) => return Err(ApiError::malformed("a field has a wrong value", FORM)),
            _ => return Err(ApiError::malformed("unknown field", FORM)),
        }
    }
    let policies = policies.ok_or_else(|| ApiError::malformed("policies is missing", FORM))?;
    Ok((policies, replaces))
}

fn refused(error: PolicyError) -> ApiError {
    let text = error.to_string();
    match error {
        PolicyError::Unknown => ApiError::not_found(text),
        PolicyError::Changed => ApiError::new(StatusCode::CONFLICT, "other_policies", text, "read them again"),
        PolicyError::Invalid(_) => ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_policies",
            text,
            "nothing was changed; correct the place that is named and try again",
        ),
        PolicyError::Unavailable(_) => ApiError::unavailable("policies_unavailable", text),
    }
}
