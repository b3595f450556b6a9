"""What the playlists say: pure functions of measured segments."""
