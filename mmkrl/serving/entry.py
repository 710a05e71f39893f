"""What MLflow runs to make the model: kept apart because running it has an effect."""

from mlflow.models import set_model

from mmkrl.serving.pyfunc import SpaceModel

set_model(SpaceModel())
