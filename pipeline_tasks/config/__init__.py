"""Everything that a person can set: settings, the TOML of a source, business rules, promotion rules."""
