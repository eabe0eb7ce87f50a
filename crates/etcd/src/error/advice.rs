pub(super) fn with_advice(_member: &str, text: String) -> String {
    text
}
