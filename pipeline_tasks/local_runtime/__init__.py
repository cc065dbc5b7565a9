"""The embedded servers, the chain seen from outside, and the state of the machine."""
