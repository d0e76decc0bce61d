//! Questions to GitHub that the deployment's function asks, with credentials that stay there.

use std::pin::Pin;

use ecsrunner_aws::connection::Connection;
use ecsrunner_aws::operate::Operator;
use ecsrunner_github::relay::{Answer, Carrier, CarrierError, Question};
use serde::Serialize;

/// Invokes the function of a deployment that answers questions.
pub(super) struct Questions {
    connection: Connection,
    function: String,
}

#[derive(Serialize)]
struct Payload<'a> {
    ask: &'a Question,
}

impl Questions {
    pub(super) fn to(connection: &Connection, function: &str) -> Self {
        Self { connection: connection.clone(), function: function.to_owned() }
    }

    async fn ask(&self, question: &Question) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let payload = serde_json::to_string(&Payload { ask: question })?;
        let told = Operator::new(&self.connection).invoke(&self.function, payload).await?;
        Ok(serde_json::from_slice(&told)?)
    }
}

impl Carrier for Questions {
    fn carry<'a>(
        &'a self,
        question: &'a Question,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, CarrierError>> + Send + 'a>> {
        Box::pin(async move { self.ask(question).await.map_err(CarrierError) })
    }
}
