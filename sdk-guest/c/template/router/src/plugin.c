#include "portcullis.h"

static struct {
    pc_strings approvers, large;
    uint64_t deadline_seconds;
    const pc_json *escalate_to;
} settings;

bool plugin_configure(pc_string config, pc_error *error) {
    const pc_json *given = PC_CONFIG(config, error, "approvers", "large", "deadline_seconds", "escalate_to");
    if (given == NULL) {
        return false;
    }
    if (!pc_json_strings(pc_json_member(given, PC("approvers")), &settings.approvers) || settings.approvers.len == 0) {
        return pc_fail(error, PC("approvers: give a list of at least one role"));
    }
    const pc_json *large = pc_json_member(given, PC("large"));
    settings.large = settings.approvers;
    if (large != NULL && (!pc_json_strings(large, &settings.large) || settings.large.len == 0)) {
        return pc_fail(error, PC("large: give a list of at least one role"));
    }
    const pc_json *deadline = pc_json_member(given, PC("deadline_seconds"));
    settings.deadline_seconds = 900;
    if (deadline != NULL && (!pc_json_whole(deadline, &settings.deadline_seconds) || settings.deadline_seconds < 1 ||
                             settings.deadline_seconds > UINT32_MAX)) {
        return pc_fail(error, PC("deadline_seconds: use a whole number of at least 1"));
    }
    settings.escalate_to = pc_json_member(given, PC("escalate_to"));
    if (settings.escalate_to != NULL && settings.escalate_to->kind != PC_STRING) {
        return pc_fail(error, PC("escalate_to: give a role"));
    }
    return true;
}

bool plugin_route(const pc_call *call, pc_findings findings, pc_reasons reasons, pc_plan *plan, pc_error *error) {
    bool large = false;
    plan->summary = PC_TEXT(call->agent, PC(" wants "), call->tool);
    for (size_t i = 0; i < reasons.len; i++) {
        pc_string code = reasons.ptr[i].code;
        large = large || pc_equal(code, PC("large_amount"));
        plan->summary = PC_TEXT(plan->summary, i == 0 ? PC(": ") : PC(", "), code);
    }
    if (findings.len > 0) {
        plan->summary = PC_TEXT(plan->summary, PC(" ("), pc_decimal(findings.len), PC(" findings)"));
    }
    pc_strings roles = large ? settings.large : settings.approvers;
    for (size_t i = 0; i < roles.len; i++) {
        pc_plan_role(plan, roles.ptr[i]);
    }
    plan->quorum = large ? 2 : 1;
    plan->may_modify = !large;
    plan->deadline_seconds = (uint32_t)settings.deadline_seconds;
    if (settings.escalate_to != NULL) {
        uint32_t half = plan->deadline_seconds / 2;
        pc_step_role(pc_plan_step(plan, half > 0 ? half : 1), settings.escalate_to->string);
    }
    return true;
}
