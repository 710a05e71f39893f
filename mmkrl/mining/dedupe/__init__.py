"""Images that show the same picture: perceptual hashes, links, groups, representatives."""
