"""The rules of the gateway: standard library only, no clock, no IO."""
