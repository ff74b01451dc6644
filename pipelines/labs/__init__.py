"""The theory's demonstrations: each measures one claim, beside the closed form where there is one."""
