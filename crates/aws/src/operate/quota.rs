//! The account's Fargate quotas.

use ecsrunner_core::rules::cost::Market;

use super::{OperateError, Operator, failed};
use crate::fault::Fault;

const ACTION: &str = "servicequotas:GetServiceQuota";
const SERVICE: &str = "fargate";

/// A quota of the account in the Region.
#[derive(Clone, PartialEq, Debug)]
pub struct Quota {
    pub market: Market,
    /// Service Quotas' code, which a request for an increase names.
    pub code: &'static str,
    /// vCPUs that may run at once, of all deployments and all other tasks.
    pub vcpus: f64,
}

/// Service Quotas' codes of "Fargate On-Demand vCPU resource count" and its Spot counterpart.
const fn code(market: Market) -> &'static str {
    match market {
        Market::OnDemand => "L-3032A538",
        Market::Spot => "L-36FBB829",
    }
}

impl Operator<'_> {
    /// Reads the quota of a market.
    ///
    /// # Errors
    ///
    /// Those of AWS.
    pub async fn quota(&self, market: Market) -> Result<Quota, OperateError> {
        let code = code(market);
        let answer = self
            .connection
            .service_quotas()
            .get_service_quota()
            .service_code(SERVICE)
            .quota_code(code)
            .send()
            .await
            .map_err(|error| failed(ACTION, format_args!("{SERVICE}/{code}"), Fault::of(&error)))?;
        let vcpus = answer.quota.and_then(|quota| quota.value);
        let vcpus = vcpus.ok_or_else(|| failed(ACTION, code, Fault::of_answer("the answer has no value")))?;
        Ok(Quota { market, code, vcpus })
    }
}
