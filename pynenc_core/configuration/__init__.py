"""Loads the settings from code, variables and files, and says where each came from."""

from __future__ import annotations

from pynenc_core.configuration.settings import SettingOrigin, Settings, load_settings

__all__ = ["SettingOrigin", "Settings", "load_settings"]
