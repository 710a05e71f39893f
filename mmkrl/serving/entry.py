"""What MLflow runs to make the model: kept apart because running it has an effect."""

from mlflow.models import set_model

from mmkrl.serving.pyfunc import AnsweringModel

set_model(AnsweringModel())
